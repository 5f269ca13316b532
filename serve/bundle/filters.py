"""Filters that a request may ask for."""

from dataclasses import dataclass

from src.index.filters import AnyOf, Between, Condition

__all__ = ["CHOICES", "FILTERED", "Filters"]

CHOICES = ("category", "brand", "color")
"""Columns that a filter gives any number of values for."""

FILTERED = (*CHOICES, "price", "in_stock")
"""Columns that filters ask for."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Conditions that a result must meet, all of them. What is null in the catalogue meets none.

    Attributes:
        category: any of these; empty asks for nothing. `brand` and `color` likewise.
        price_min: lowest price, included.
        price_max: highest price, included.
        in_stock: this value.
    """

    category: frozenset[str] = frozenset()
    brand: frozenset[str] = frozenset()
    color: frozenset[str] = frozenset()
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool | None = None

    def conditions(self) -> list[Condition]:
        """What the catalogue's rows are asked."""
        asked: list[Condition] = [AnyOf(name, getattr(self, name)) for name in CHOICES if getattr(self, name)]
        if self.price_min is not None or self.price_max is not None:
            asked.append(Between("price", self.price_min, self.price_max))
        if self.in_stock is not None:
            asked.append(AnyOf("in_stock", frozenset({self.in_stock})))
        return asked
