"""A search's parameters as the pipeline needs them: pydantic models are read into it once per request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from src.index.filters import AnyOf, Condition
from src.search.box import Box

__all__ = ["DEFAULT_K", "MAX_K", "MAX_OFFSET", "PRIVATE_COLUMNS", "Query"]

DEFAULT_K = 10
MAX_K = 100
"""Results of one search."""
MAX_OFFSET = 900
"""Results that a search may skip."""
PRIVATE_COLUMNS = frozenset({"image"})
"""Columns that no caller may ask for: where the catalogue's pictures lie."""

_VOLATILE = ("price", "in_stock")


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a search asks for, its photo or item apart.

    Attributes:
        offset: better results that are skipped: those of the pages before.
        dedupe: one result for each `item`, or for each `parent`.
        words: for the fallback by words; may be empty.
        box: the part of the photo; `auto` is the object that the detector finds, None all of it.
        read_after: position of a write that the search must see.
    """

    k: int
    offset: int = 0
    dedupe: str = "item"
    filters: Sequence[Condition] = ()
    words: str = ""
    box: Box | Literal["auto"] | None = None
    timings: bool = False
    read_after: int | None = None

    @property
    def lasting(self) -> list[Condition]:
        """The conditions apart from those on price and stock, which the shop's database decides."""
        return [condition for condition in self.filters if condition.column not in _VOLATILE]

    @property
    def categories(self) -> frozenset[str]:
        """The categories that the filters name."""
        conditions = [one for one in self.filters if isinstance(one, AnyOf) and one.column == "category"]
        return frozenset(str(name) for condition in conditions for name in condition.values)

    def admits(self, price: float | None, in_stock: bool | None) -> bool:
        """Whether current values meet the conditions on price and stock; null meets none."""
        values = {"price": price, "in_stock": in_stock}
        return all(_meets(one, values[one.column]) for one in self.filters if one.column in values)


def _meets(condition: Condition, value: float | bool | None) -> bool:
    if value is None:
        return False
    if isinstance(condition, AnyOf):
        return value in condition.values
    low, high = condition.low, condition.high
    assert isinstance(low, int | float | None), "prices are numbers"
    assert isinstance(high, int | float | None), "prices are numbers"
    return (low is None or value >= low) and (high is None or value <= high)
