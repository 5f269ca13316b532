"""Heads: modules between the backbone's features and the embedding."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.contracts.settings.encoder import HEADS

__all__ = ["PCAHead", "ResidualHead", "build_head", "register_head"]

H = TypeVar("H", bound=type[nn.Module])

_REGISTERED: dict[str, type[nn.Module]] = {}


def register_head(head: H) -> H:
    """Class decorator: `model.head=NAME` builds a head of this class, whose name is NAME.

    The class is built with `width=` (number of the backbone's features), `hidden_dim=` and `embedding_dim=`; its
    forward takes features of shape (batch, width) to embeddings of shape (batch, dim), which are normalised after it.
    A checkpoint holds the name; it is loaded where the package that registers the class was imported, with
    `trust=[PACKAGE]` on the command line.

    Raises:
        ValueError: the name is one of Lookalike's own.
    """
    if head.__name__ in HEADS:
        raise ValueError(f"{head.__name__} is a head of Lookalike; choose another name")
    _REGISTERED[head.__name__] = head
    return head


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
        ConfigError: no such head, or `pca` with a larger dimension than the backbone's width.
    """
    if kind in _REGISTERED:
        made = _REGISTERED[kind](width=width, hidden_dim=hidden_dim, embedding_dim=embedding_dim)
        with torch.no_grad():
            dim: int = made.eval()(torch.zeros(1, width)).shape[1]
        return made.train(), dim
    if kind not in HEADS:
        raise ConfigError(
            f"`model.head={kind}`: must be one of {', '.join((*HEADS, *_REGISTERED))}; if a package of yours registers "
            "it, import that with `trust=[PACKAGE]`"
        )
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
