"""Filters: what they are, and which rows of the catalogue they let pass."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["CHOICES", "FilterColumns", "Filters"]

CHOICES = ("category", "brand", "color")
"""Columns that a filter gives any number of values for."""


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


class FilterColumns:
    """The catalogue's columns that filters ask for, as numbers: a filter is a few passes over 1 to 8 bytes a row."""

    def __init__(self, table: pa.Table) -> None:
        """Encode the columns.

        Args:
            table: rows with `category`, `brand`, `color`, `price` and `in_stock`.
        """
        self._codes: dict[str, np.ndarray] = {}
        self._code_of: dict[str, dict[str, int]] = {}
        for name in CHOICES:
            encoded = table[name].combine_chunks().dictionary_encode()
            self._codes[name] = encoded.indices.fill_null(-1).to_numpy()
            self._code_of[name] = {value: code for code, value in enumerate(encoded.dictionary.to_pylist())}
        # Comparisons with NaN are False, which is what a null asks for.
        self._price: np.ndarray = table["price"].to_numpy()
        self._in_stock: np.ndarray = pc.fill_null(pc.cast(table["in_stock"], pa.int8()), -1).to_numpy()

    def mask(self, filters: Filters) -> np.ndarray | None:
        """The rows that pass.

        Args:
            filters: the conditions.

        Returns:
            bool array of shape (rows,), or None where nothing is asked for.
        """
        conditions = [self._any_of(name, getattr(filters, name)) for name in CHOICES if getattr(filters, name)]
        if filters.price_min is not None:
            conditions.append(self._price >= filters.price_min)
        if filters.price_max is not None:
            conditions.append(self._price <= filters.price_max)
        if filters.in_stock is not None:
            conditions.append(self._in_stock == int(filters.in_stock))
        return np.logical_and.reduce(conditions) if conditions else None

    def _any_of(self, name: str, values: Iterable[str]) -> np.ndarray:
        codes = [self._code_of[name][value] for value in values if value in self._code_of[name]]
        return np.isin(self._codes[name], codes)
