"""A backbone and a head: uint8 pixels in, L2-normalised embeddings out."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.models.backbones import build_backbone, example_features
from src.models.heads import build_head, head_class
from src.models.lora import add_lora
from src.models.sources import resolved_source

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
        embeddings, _ = self.with_norms(pixels)
        return embeddings

    def with_norms(
        self, pixels: Num[Tensor, "batch height width 3"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, " batch"]]:
        """Embed a batch as `forward` does; with the norms before L2, float32."""
        features = self.features(pixels).float()
        # A smaller eps would be 0 in half precision.
        return F.normalize(features, dim=1, eps=1e-6), torch.linalg.vector_norm(features, dim=1)

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
    backbone: str | Mapping[str, Any],
    pretrained: bool = False,
    weights: str | None = None,
    backbone_kwargs: Mapping[str, Any] | None = None,
    head: str | Mapping[str, Any] = "mlp",
    hidden_dim: int = 1024,
    embedding_dim: int = 512,
    lora: Mapping[str, Any] | None = None,
) -> Encoder:
    """Build an encoder; see `EncoderSettings` for the arguments.

    Raises:
        ConfigError: no such network or head, unknown arguments, or weights that do not fit or cannot be loaded.
    """
    source = resolved_source(
        {"backbone": backbone, "backbone_kwargs": backbone_kwargs, "pretrained": pretrained, "weights": weights}
    )
    maps = getattr(head_class(head), "takes", "features") == "maps"
    network: Any = build_backbone(
        source["backbone"],
        size=spec.size,
        pretrained=pretrained,
        weights=source["weights"],
        arguments=source["backbone_kwargs"],
        maps=maps,
    )
    if lora is not None and lora["rank"] is not None:
        add_lora(network, size=spec.size, **lora)
    features = example_features(network, spec.size)
    layout = getattr(network, "output_fmt", "NCHW")
    if maps != (features.ndim > 2) or (maps and layout == "NHWC"):
        raise ConfigError(
            f"`model.head`: {head_class(head).__name__} takes {'maps of layout NCHW' if maps else 'features'}, and "
            f"{type(network).__name__} gives {tuple(features.shape)}"
            f"{' of layout NHWC' if maps and layout == 'NHWC' else ''}; choose another head"
        )
    projection, dim = build_head(
        head,
        features=features,
        hidden_dim=hidden_dim,
        embedding_dim=embedding_dim,
        prefix_tokens=int(getattr(network, "num_prefix_tokens", 0)),
    )
    return Encoder(network, projection, dim=dim, spec=spec)
