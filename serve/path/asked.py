"""What a search asks for, its query aside."""

from dataclasses import dataclass

from serve.bundle.filters import Filters

__all__ = ["Asked"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The wishes of one search.

    Attributes:
        k: items wanted.
        filters: conditions that they must meet.
    """

    k: int
    filters: Filters
