"""What a loss compares: pairs of images, images with proxies of items, or each image with its whole batch."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from src.contracts.errors import ConfigError
from src.contracts.settings.class_source import ClassSource, read_class
from src.contracts.settings.component import Component, component_class

__all__ = ["Kind", "loss_bases", "loss_kind", "loss_kind_of"]

Kind = Literal["pairs", "proxies", "whole batch"]
"""`pairs` of images, which miners, memory and restrictions can choose; images with the `proxies` of items, which the
loss learns; or the `whole batch`, each image with all others."""

_KINDS: dict[str, Kind] = {
    "WeightRegularizerMixin": "proxies",
    "FastAPLoss": "whole batch",
    "SmoothAPLoss": "whole batch",
}
"""By base class of pytorch-metric-learning: all its losses with proxies have that mixin."""


def loss_kind(made_by: Any) -> Kind:
    """What the losses of a class compare.

    Args:
        made_by: the class. It may declare the kind as its attribute `compares`; else it follows from the bases that it
            has of pytorch-metric-learning, and is `pairs` where that does not tell.

    Raises:
        ConfigError: it declares another kind.
    """
    return _kind(_bases(made_by), getattr(made_by, "compares", None))


def loss_kind_of(loss: Component) -> Kind:
    """What a loss of a config compares; its class is imported only where its source does not tell.

    Raises:
        ConfigError: it declares another kind; there is no such class.
    """
    source = _source(loss)
    if source is None or source.declared.get("compares", "") is None:
        return loss_kind(component_class(loss))
    return _kind(source.names, source.declared.get("compares"))


def loss_bases(loss: Component) -> Sequence[str]:
    """The names of a loss's class and of its bases.

    Raises:
        ConfigError: there is no such class.
    """
    source = _source(loss)
    return source.names if source else _bases(component_class(loss))


def _source(loss: Mapping[str, Any]) -> ClassSource | None:
    try:
        return read_class(str(loss["_target_"]))
    except ImportError:
        return None  # importing it gives the message


def _kind(bases: Sequence[str], declared: Any) -> Kind:
    if declared in ("pairs", "proxies", "whole batch"):
        return declared
    if declared is not None:
        raise ConfigError(f"{bases[0]}.compares={declared!r}: must be pairs, proxies or whole batch")
    return next((_KINDS[name] for name in bases if name in _KINDS), "pairs")


def _bases(made_by: Any) -> list[str]:
    """The names of a class and its bases; a function's own."""
    return [base.__name__ for base in getattr(made_by, "__mro__", (made_by,))]
