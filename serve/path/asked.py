"""What a search asks for, its query aside."""

from dataclasses import dataclass
from typing import Literal

from serve.bundle.filters import Filters
from serve.path.box import Box

__all__ = ["Asked"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The wishes of one search.

    Attributes:
        k: results wanted.
        filters: conditions that they must meet.
        offset: results that are passed over: those of the pages before.
        dedupe: one result for each `item`, or for each `parent`.
        timings: whether the answer tells its stages' times.
        q: words, for when the photo cannot be searched; may be empty.
        box: the part of the photo that is searched for; `auto` is the dominant object, None all of it.
    """

    k: int
    filters: Filters
    offset: int = 0
    dedupe: str = "item"
    timings: bool = False
    q: str = ""
    box: Box | Literal["auto"] | None = None
