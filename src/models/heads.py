"""Heads: modules between the backbone's features and the embedding."""

from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.contracts.settings.encoder import HEADS

__all__ = ["PCAHead", "ResidualHead", "build_head"]


class ResidualHead(nn.Module):
    """The features plus a correction (Linear-ReLU-Linear) that is zero at the start.

    Before training the embedding equals the backbone's features, which is one end of weight interpolation.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.correction = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        last = self.correction[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]  # nn.Sequential does not say what it holds
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Add the correction; features and result have the shape (batch, width)."""
        corrected: Tensor = features + self.correction(features)
        return corrected


class PCAHead(nn.Linear):
    """A linear layer that is zero until `initialise_pca_head` sets it from training images."""

    def __init__(self, width: int, dim: int) -> None:
        if dim > width:
            raise ConfigError(f"`model.embedding_dim={dim}`: the backbone gives {width} features, so at most {width}")
        super().__init__(width, dim)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def build_head(kind: str, *, width: int, hidden_dim: int, embedding_dim: int) -> tuple[nn.Module, int]:
    """Build a head; return it and the dimension of the embeddings.

    Args:
        kind: see `EncoderSettings.head`.
        width: number of the backbone's features.
        hidden_dim: of the hidden layer, where there is one.
        embedding_dim: dimension of the embeddings, for heads that do not keep the width.

    Raises:
        ConfigError: `pca` with a larger dimension than the backbone's width.
    """
    assert kind in HEADS
    if kind == "none":
        return nn.Identity(), width
    if kind == "residual":
        return ResidualHead(width, hidden_dim), width
    if kind == "pca":
        return PCAHead(width, embedding_dim), embedding_dim
    if kind == "linear":
        return nn.Linear(width, embedding_dim), embedding_dim
    layers = nn.Linear(width, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, embedding_dim)
    return nn.Sequential(*layers), embedding_dim
