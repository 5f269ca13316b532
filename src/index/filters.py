"""Filters on any item column, compiled to one mask over the rows."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from src.contracts.errors import FilterError
from src.index.filter_columns import Booleans, Codes, Column, Numbers, Texts, is_readable, read_column

__all__ = ["AnyOf", "Between", "Condition", "FilterColumns"]

_KEPT = 64
_KEPT_BYTES = 64 * 1024**2
"""Masks of `AnyOf` that are kept packed, and the memory that they may take."""

Bound = int | float | datetime.datetime | datetime.date


@dataclass(frozen=True)
class AnyOf:
    """The column has one of these values: strings, or True and False. No values: no row passes."""

    column: str
    values: frozenset[str | bool]

    def __post_init__(self) -> None:
        # Conditions are hashed. A list or set that somebody gives instead will do.
        object.__setattr__(self, "values", frozenset(self.values))


@dataclass(frozen=True)
class Between:
    """The column lies between two bounds, both included; None leaves that end open."""

    column: str
    low: Bound | None = None
    high: Bound | None = None


Condition = AnyOf | Between


class FilterColumns:
    """A table's columns as filters read them: laid out when they are first asked for, and without a copy.

    Made for a mapped table whose strings are coded (`code_strings`): a filter on one value is then a comparison of
    codes. What `AnyOf` lets pass is kept, a bit a row, for the conditions that were asked last. Safe to use from many
    threads at once.
    """

    def __init__(self, table: pa.Table) -> None:
        """Lay out nothing yet.

        Args:
            table: row i is row i of the index. Columns of other types than strings, booleans, numbers, dates and
                times are left out.
        """
        self._rows: int = table.num_rows
        self._table = table.select([field.name for field in table.schema if is_readable(field.type)])
        self._laid_out: dict[str, Column] = {}
        most = min(_KEPT, _KEPT_BYTES // max(1, self._rows // 8))
        self._packed = lru_cache(maxsize=most)(self._pack)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column that can be asked for; raises `FilterError` where there is no such column."""
        names = self._table.column_names
        if name not in names:
            raise FilterError(f"filter on `{name}`: no such column; there are {', '.join(sorted(names)) or 'none'}")
        return self._table[name]

    def mask(self, conditions: Iterable[Condition]) -> np.ndarray | None:
        """The rows that meet all conditions. Null and NaN meet none.

        A value that no row has lets no row pass: items come and go, and a question for a brand that has gone is no
        mistake. `check_values` is for those to whom it is one.

        Args:
            conditions: all of them must be met.

        Returns:
            bool array of shape (rows,), or None where nothing is asked for.

        Raises:
            FilterError: an unknown column, or a value or bound that does not suit the column's type.
        """
        masks = [self._one(condition) for condition in conditions]
        for mask in masks[1:]:
            masks[0] &= mask
        return masks[0] if masks else None

    def check_values(self, conditions: Iterable[Condition]) -> None:
        """Refuse values that no row has, which a person has most likely misspelt.

        Raises:
            FilterError: names the column, the values, and what exists instead.
        """
        for condition in conditions:
            if isinstance(condition, AnyOf):
                self._choices(condition).check(condition.column, condition.values)

    def _one(self, condition: Condition) -> np.ndarray:
        if isinstance(condition, AnyOf):
            return np.unpackbits(self._packed(condition), count=self._rows).view(bool)
        column = self._column(condition.column)
        if not isinstance(column, Numbers):
            raise FilterError(f"filter on `{condition.column}`: it holds {column.kind}, which has no range; use AnyOf")
        return column.mask(condition.column, condition.low, condition.high)

    def _pack(self, condition: AnyOf) -> np.ndarray:
        return np.packbits(self._choices(condition).mask(condition.column, condition.values))

    def _choices(self, condition: AnyOf) -> Codes | Texts | Booleans:
        column = self._column(condition.column)
        if isinstance(column, Numbers):
            raise FilterError(f"filter on `{condition.column}`: it holds {column.kind}; give a range with Between")
        return column

    def _column(self, name: str) -> Column:
        # Two threads may both lay it out; either is right.
        if name not in self._laid_out:
            self._laid_out[name] = read_column(self.column(name))
        return self._laid_out[name]
