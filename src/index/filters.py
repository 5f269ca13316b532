"""Filters on any item column, compiled to one mask over the rows."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from src.contracts.errors import FilterError
from src.index.filter_columns import Numbers, Postings, encoded

__all__ = ["AnyOf", "Between", "Condition", "FilterColumns"]

Bound = int | float | datetime.datetime | datetime.date


@dataclass(frozen=True)
class AnyOf:
    """The column has one of these values: strings, or True and False. No values: no row passes."""

    column: str
    values: frozenset[str | bool]


@dataclass(frozen=True)
class Between:
    """The column lies between two bounds, both included; None leaves that end open."""

    column: str
    low: Bound | None = None
    high: Bound | None = None


Condition = AnyOf | Between


class FilterColumns:
    """A table's columns, laid out so that a filter costs a few passes over one bit to eight bytes a row.

    Strings and booleans keep four bytes a row, and up to eight more once frequent values have been asked for; numbers
    and times keep their own width. Safe to use from many threads at once.
    """

    def __init__(self, table: pa.Table) -> None:
        """Encode the columns.

        Args:
            table: row i is row i of the index. Columns of other types than strings, booleans, numbers, dates and
                times are left out.
        """
        self._rows: int = table.num_rows
        made = {name: encoded(table[name]) for name in table.column_names}
        self._columns = {name: column for name, column in made.items() if column is not None}

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
                self._postings(condition).check(condition.column, condition.values)

    def _one(self, condition: Condition) -> np.ndarray:
        if isinstance(condition, AnyOf):
            return self._postings(condition).mask(condition.column, condition.values)
        column = self._column(condition.column)
        if not isinstance(column, Numbers):
            raise FilterError(f"filter on `{condition.column}`: it holds {column.kind}, which has no range; use AnyOf")
        return column.mask(condition.column, condition.low, condition.high)

    def _postings(self, condition: AnyOf) -> Postings:
        column = self._column(condition.column)
        if not isinstance(column, Postings):
            raise FilterError(f"filter on `{condition.column}`: it holds {column.kind}; give a range with Between")
        return column

    def _column(self, name: str) -> Postings | Numbers:
        if name not in self._columns:
            raise FilterError(f"filter on `{name}`: no such column; there are {_listed(sorted(self._columns))}")
        return self._columns[name]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
