"""Heads: modules between the backbone's features and the embedding."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.contracts.settings.encoder import HEADS
from src.models.own_module import arguments_of, make_module, own_class

__all__ = [
    "BNNeckHead",
    "GeM",
    "GeMHead",
    "IdentityHead",
    "LinearHead",
    "MLPHead",
    "PCAHead",
    "ResidualHead",
    "build_head",
    "head_class",
    "portable_head",
    "register_head",
]

H = TypeVar("H", bound=type[nn.Module])

_REGISTERED: dict[str, type[nn.Module]] = {}


def register_head(head: H) -> H:
    """Class decorator: `model.head=NAME` builds a head of this class, whose name is NAME.

    A class that a config names in `_target_` need not be registered. Both are built alike: of `width` (number of the
    backbone's features), `hidden_dim`, `embedding_dim` and `prefix_tokens`, a class gets those that it takes; its
    forward takes features of shape (batch, width) to embeddings of shape (batch, dim), which are normalised after it.
    A checkpoint holds the name; it is loaded where the package that registers the class was imported, with
    `trust=[PACKAGE]` on the command line.

    A class with the attribute `takes = "maps"` gets the backbone's features before pooling: (batch, channels,
    height, width) of a convolutional network, (batch, tokens, channels) of a transformer.

    Raises:
        ValueError: the name is one of Lookalike's own.
    """
    if head.__name__ in HEADS:
        raise ValueError(f"{head.__name__} is a head of Lookalike; choose another name")
    _REGISTERED[head.__name__] = head
    return head


class MLPHead(nn.Sequential):
    """Linear-ReLU-Linear."""

    def __init__(self, width: int, hidden_dim: int, embedding_dim: int) -> None:
        super().__init__(nn.Linear(width, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, embedding_dim))


class LinearHead(nn.Linear):
    """One matrix and a bias."""

    def __init__(self, width: int, embedding_dim: int) -> None:
        super().__init__(width, embedding_dim)


class PCAHead(nn.Linear):
    """A linear layer that is zero until `initialise_pca_head` sets it from training images."""

    def __init__(self, width: int, embedding_dim: int) -> None:
        if embedding_dim > width:
            raise ConfigError(
                f"`model.embedding_dim={embedding_dim}`: the backbone gives {width} features, so at most {width}"
            )
        super().__init__(width, embedding_dim)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class ResidualHead(nn.Module):
    """The features plus a correction (Linear-ReLU-Linear) that is zero at the start.

    Before training the embedding equals the backbone's features, which is one end of weight interpolation.
    """

    def __init__(self, width: int, hidden_dim: int) -> None:
        super().__init__()
        self.correction = nn.Sequential(nn.Linear(width, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, width))
        last = self.correction[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]  # nn.Sequential does not say what it holds
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Add the correction; features and result have the shape (batch, width)."""
        corrected: Tensor = features + self.correction(features)
        return corrected


class IdentityHead(nn.Identity):
    """The features alone."""


class BNNeckHead(nn.Sequential):
    """Linear, then batch norm without a shift (Luo et al., Bag of Tricks for Person Re-Identification, 2019)."""

    def __init__(self, width: int, embedding_dim: int) -> None:
        norm = nn.BatchNorm1d(embedding_dim)
        norm.bias.requires_grad_(False)
        super().__init__(nn.Linear(width, embedding_dim, bias=False), norm)


class GeM(nn.Module):
    """Generalised-mean pooling with a trained exponent (Radenović, Tolias, Chum, 2018, eq. 3).

    An exponent of 1 is the mean, a large one approaches the maximum. Values below 1e-6 count as 1e-6.
    """

    def __init__(self, p: float, prefix_tokens: int) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([float(p)]))
        self._prefix = prefix_tokens

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of shape (batch, channels, height, width) or (batch, tokens, channels) to (batch, channels)."""
        places = maps.flatten(2) if maps.ndim == 4 else maps[:, self._prefix :].transpose(1, 2)
        # In half precision powers of large values overflow.
        powers = places.float().clamp(min=1e-6).pow(self.p.float())
        return powers.mean(dim=2).pow(1 / self.p.float()).to(maps.dtype)


class GeMHead(nn.Module):
    """Generalised-mean pooling, then Linear."""

    takes = "maps"

    def __init__(self, width: int, embedding_dim: int, prefix_tokens: int = 0, p: float = 3.0) -> None:
        """Set the sizes.

        Args:
            width: channels of the maps.
            embedding_dim: dimension of the embeddings.
            prefix_tokens: tokens of a transformer that stand for no place, which come first and are left out.
            p: the exponent at the start.
        """
        super().__init__()
        self.pool = GeM(p, prefix_tokens)
        self.linear = nn.Linear(width, embedding_dim)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps as `GeM` takes them to embeddings of shape (batch, dim)."""
        embeddings: Tensor = self.linear(self.pool(maps))
        return embeddings


_OWN: dict[str, type[nn.Module]] = dict(
    zip(HEADS, (MLPHead, LinearHead, PCAHead, ResidualHead, IdentityHead, BNNeckHead, GeMHead), strict=True)
)
_PATHS = {f"{own.__module__}.{own.__name__}": name for name, own in _OWN.items()}


def portable_head(head: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """A head as a checkpoint names it: Lookalike's own by their names, without import paths, others as they are."""
    if isinstance(head, str):
        return head
    name = _PATHS.get(str(head["_target_"]), str(head["_target_"]))
    arguments = arguments_of(head)
    return name if name in HEADS and not arguments else {"_target_": name, **arguments}


def head_class(head: str | Mapping[str, Any]) -> Any:
    """The class of a head.

    Raises:
        ConfigError: no such head, or no such class.
    """
    entry = portable_head(head)
    entry = {"_target_": entry} if isinstance(entry, str) else entry
    name = str(entry["_target_"])
    if name in _OWN or name in _REGISTERED:
        return _OWN.get(name) or _REGISTERED[name]
    if "." not in name:
        raise ConfigError(
            f"`model.head={name}`: must be one of {', '.join((*HEADS, *_REGISTERED))}; if a package of yours registers "
            "it, import that with `trust=[PACKAGE]`; or name a class in `model.head._target_`"
        )
    return own_class(entry, setting="model.head")


def build_head(
    head: str | Mapping[str, Any], *, features: Tensor, hidden_dim: int, embedding_dim: int, prefix_tokens: int = 0
) -> tuple[nn.Module, int]:
    """Build a head; return it and the dimension of the embeddings.

    Args:
        head: see `EncoderSettings.head`.
        features: what the backbone gives, of one image: of shape (1, width), or maps.
        hidden_dim: of the hidden layer, where there is one.
        embedding_dim: dimension of the embeddings, for heads that do not keep the width.
        prefix_tokens: of a transformer's maps.

    Raises:
        ConfigError: no such head, arguments that it does not take, `pca` with a larger dimension than the backbone's
            width, or no embeddings of shape (batch, dim) from it.
    """
    kind = head_class(head)
    given = {} if isinstance(head, str) else arguments_of(head)
    width = features.shape[2] if features.ndim == 3 else features.shape[1]
    offered = {
        "width": width, "hidden_dim": hidden_dim, "embedding_dim": embedding_dim, "prefix_tokens": prefix_tokens
    }  # fmt: skip
    taken = _taken(kind, offered)
    made = make_module(kind, {**taken, **given}, setting="model.head").eval()
    try:
        with torch.no_grad():
            embedding = made(features)
    except RuntimeError as error:
        embedding = error
    if not isinstance(embedding, Tensor) or embedding.ndim != 2:
        raise ConfigError(
            f"`model.head`: {kind.__name__} makes no embeddings of shape (batch, dim) from features of shape "
            f"{(*features.shape,)}: {embedding if isinstance(embedding, Exception) else tuple(embedding.shape)}"
        )
    return made.train(), embedding.shape[1]


def _taken(kind: Any, offered: Mapping[str, int]) -> dict[str, int]:
    """Those arguments that a class takes by name."""
    parameters = inspect.signature(kind).parameters
    # A module without a constructor of its own has nn.Module's, which takes no keyword.
    every = getattr(kind, "__init__", None) is not nn.Module.__init__ and any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    return {name: value for name, value in offered.items() if name in parameters or (every and name != "prefix_tokens")}
