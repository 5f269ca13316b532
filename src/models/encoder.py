"""A timm backbone and a projection head: uint8 pixels in, L2-normalised embeddings out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.models.heads import build_head

__all__ = ["Encoder", "build_encoder"]


class Encoder(nn.Module):
    """Normalisation, backbone, head and L2 in one module, so that an exported graph contains all of them.

    Attributes:
        dim: dimension of the embeddings.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, head: nn.Module, *, dim: int, spec: PreprocessingSpec) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.dim = dim
        # On the scale 0..255. The preprocessing spec holds them, so they are not saved with the weights.
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of backbone and head; preprocessing and L2 are computed in float32."""
        weights = list(self.backbone.parameters())
        return weights[0].dtype if weights else torch.float32

    def forward(self, pixels: Num[Tensor, "batch height width 3"]) -> Float[Tensor, "batch dim"]:
        """Embed a batch.

        Args:
            pixels: uint8, or float on the scale 0..255.

        Returns:
            float32 embeddings of norm 1.
        """
        # A smaller eps would be 0 in half precision.
        return F.normalize(self.features(pixels).float(), dim=1, eps=1e-6)

    def features(self, pixels: Num[Tensor, "batch height width 3"]) -> Num[Tensor, "batch dim"]:
        """The embeddings of a batch before L2 normalisation; pixels as `forward` takes them."""
        # Channels last is the layout of the pixels, and the fastest for convolutions.
        images = pixels.float().permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        images = ((images - self.mean) / self.std).to(self.dtype)
        features: Tensor = self.head(self.backbone(images))
        return features


def build_encoder(
    *,
    spec: PreprocessingSpec,
    backbone: str,
    pretrained: bool = False,
    weights: str | None = None,
    backbone_kwargs: Mapping[str, Any] | None = None,
    head: str = "mlp",
    hidden_dim: int = 1024,
    embedding_dim: int = 512,
) -> Encoder:
    """Build an encoder; see `EncoderSettings` for the arguments.

    Raises:
        ConfigError: no such timm model, unknown arguments, or weights that do not fit or cannot be loaded.
    """
    kwargs = dict(backbone_kwargs or {})
    if weights is not None and not Path(weights).is_file():
        raise ConfigError(f"`model.weights={weights}`: no such file; give a path, or take weights by name with null")
    if not timm.is_model(backbone):
        near = ", ".join(timm.list_models(f"{backbone.split('_')[0]}*")[:5])
        raise ConfigError(
            f"`model.backbone={backbone}`: no timm model; similar names: {near or 'none'}. If a package of yours "
            "registers it, import that with `trust=[PACKAGE]`"
        )
    if backbone.startswith("vit") or "img_size" in kwargs:
        kwargs.setdefault("img_size", spec.size)
    try:
        network: Any = timm.create_model(
            backbone, pretrained=pretrained and weights is None, checkpoint_path=weights or "", **kwargs
        )
    except Exception as error:  # timm does not wrap the errors of its hub client, readers and constructors
        source = weights or ("timm's weights of that name" if pretrained else "new weights")
        raise ConfigError(f"`model.backbone={backbone}` with {source}: {type(error).__name__}: {error}") from error
    if hasattr(network, "reset_classifier"):
        network.reset_classifier(0)
    width = _width(network, spec.size)
    projection, dim = build_head(head, width=width, hidden_dim=hidden_dim, embedding_dim=embedding_dim)
    return Encoder(network, projection, dim=dim, spec=spec)


def _width(network: Any, size: int) -> int:
    """The number of the backbone's features, from a forward pass: timm has several names for it."""
    network.eval()
    with torch.no_grad():
        features: Tensor = network(torch.zeros(1, 3, size, size))
    network.train()
    return features.shape[1]
