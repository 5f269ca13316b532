"""Filters that a request may ask for."""

from dataclasses import dataclass, replace

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

    @property
    def lasting(self) -> "Filters":
        """Those of what an item is; its price and stock may have changed since the bundle was made."""
        return replace(self, price_min=None, price_max=None, in_stock=None)

    def admits(self, price: float | None, in_stock: bool | None) -> bool:
        """Whether a price and a stock meet the conditions."""
        if self.in_stock is not None and in_stock is not self.in_stock:
            return False
        if self.price_min is None and self.price_max is None:
            return True
        low, high = self.price_min, self.price_max
        return price is not None and (low is None or price >= low) and (high is None or price <= high)

    def conditions(self) -> list[Condition]:
        """What the catalogue's rows are asked."""
        asked: list[Condition] = [AnyOf(name, getattr(self, name)) for name in CHOICES if getattr(self, name)]
        if self.price_min is not None or self.price_max is not None:
            asked.append(Between("price", self.price_min, self.price_max))
        if self.in_stock is not None:
            asked.append(AnyOf("in_stock", frozenset({self.in_stock})))
        return asked
