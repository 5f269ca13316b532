"""How a column is kept for filtering: rows by value, or numbers in row order."""

import datetime
import difflib
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.errors import FilterError

__all__ = ["Numbers", "Postings", "encoded"]

_FREQUENT = 64
_SHOWN = 8


class Postings:
    """The rows of each value, one value after the other: rows of rare values are few, so they are written one by one.

    A value that at least one row in 64 has gets a packed bitmap when it is first asked for. There are at most 64 such
    values, so bitmaps take at most 8 bytes a row.

    Attributes:
        kind: what the values are, for messages.
    """

    def __init__(self, column: pa.Array, kind: str) -> None:
        """Sort the rows by value.

        Args:
            column: strings or booleans, with nulls.
            kind: what they are.
        """
        self.kind = kind
        self._rows = len(column)
        values = column.dictionary_encode()
        codes = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        self._code_of: dict[Any, int] = {value: code for code, value in enumerate(values.dictionary.to_pylist())}
        order = np.argsort(codes, kind="stable").astype(np.int32 if self._rows < 2**31 else np.int64)
        counts = np.bincount(codes + 1, minlength=len(self._code_of) + 1)
        self._order = order[counts[0] :]
        self._start: np.ndarray = np.concatenate([[0], np.cumsum(counts[1:])])
        self._bitmaps: dict[int, np.ndarray] = {}

    def mask(self, name: str, asked: Collection[Any]) -> np.ndarray:
        """The rows with any of some values, bool of shape (rows,)."""
        self._check_type(name, asked)
        codes = [self._code_of[value] for value in asked if value in self._code_of]
        frequent = [self._bitmap(code) for code in codes if self._is_frequent(code)]
        rare = [self._rows_of(code) for code in codes if not self._is_frequent(code)]
        if frequent:
            mask = np.unpackbits(np.bitwise_or.reduce(frequent), count=self._rows).view(bool)
        else:
            mask = np.zeros(self._rows, bool)
        if rare:
            mask[np.concatenate(rare)] = True
        return mask

    def check(self, name: str, asked: Collection[Any]) -> None:
        """Refuse values that no row has."""
        self._check_type(name, asked)
        unknown = sorted((value for value in asked if value not in self._code_of), key=str)
        if unknown:
            known = sorted(map(str, self._code_of))
            near = difflib.get_close_matches(str(unknown[0]), known, _SHOWN, cutoff=0.5)
            listed = ", ".join(map(repr, near or known[:_SHOWN])) or "only nulls"
            raise FilterError(
                f"filter on `{name}`: no row has {', '.join(map(repr, unknown[:_SHOWN]))}; "
                f"of its {len(known)} value(s), the nearest: {listed}"
            )

    def _check_type(self, name: str, asked: Collection[Any]) -> None:
        wanted = bool if self.kind == "booleans" else str
        for value in asked:
            if not isinstance(value, wanted):
                raise FilterError(f"filter on `{name}`: it holds {self.kind}, {value!r} is {type(value).__name__}")

    def _is_frequent(self, code: int) -> bool:
        return int(self._start[code + 1] - self._start[code]) * _FREQUENT >= self._rows

    def _rows_of(self, code: int) -> np.ndarray:
        return self._order[self._start[code] : self._start[code + 1]]

    def _bitmap(self, code: int) -> np.ndarray:
        # Two threads may both make it; either is right.
        if code not in self._bitmaps:
            mask = np.zeros(self._rows, bool)
            mask[self._rows_of(code)] = True
            self._bitmaps[code] = np.packbits(mask)
        return self._bitmaps[code]


class Numbers:
    """Numbers, dates or times in row order.

    Attributes:
        kind: what the values are, for messages.
    """

    def __init__(self, column: pa.Array, kind: str) -> None:
        """Keep the values as numbers, and which of them are there.

        Args:
            column: numbers, dates or timestamps, with nulls.
            kind: what they are.
        """
        self.kind = kind
        self._type = column.type
        self._valid = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
        if pa.types.is_timestamp(column.type):
            # Python's own resolution: a bound then compares exactly.
            column = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
        elif pa.types.is_date(column.type):
            column = column.cast(pa.date32()).cast(pa.int32())
        # Comparisons with NaN are False, which is what a NaN asks for; a null's own number is never looked at.
        self._values: np.ndarray = column.fill_null(0).to_numpy(zero_copy_only=False)

    def mask(self, name: str, low: Any, high: Any) -> np.ndarray:
        """The rows between two bounds, both included, bool of shape (rows,)."""
        bounds = [None if bound is None else self._bound(name, bound) for bound in (low, high)]
        mask = self._values == self._values if self._values.dtype.kind == "f" else np.ones(len(self._values), bool)
        if bounds[0] is not None:
            mask = self._values >= bounds[0]
        if bounds[1] is not None:
            mask &= self._values <= bounds[1]
        if self._valid is not None:
            mask &= self._valid
        return mask

    def _bound(self, name: str, bound: Any) -> float | int:
        if self.kind == "numbers":
            if isinstance(bound, bool) or not isinstance(bound, int | float) or bound != bound:
                raise FilterError(f"filter on `{name}`: it holds numbers, {bound!r} is none that compares")
            return bound
        if pa.types.is_date(self._type):
            if not isinstance(bound, datetime.date) or isinstance(bound, datetime.datetime):
                raise FilterError(f"filter on `{name}`: it holds dates, {bound!r} is {type(bound).__name__}")
            return (bound - datetime.date(1970, 1, 1)).days
        if not isinstance(bound, datetime.datetime):
            raise FilterError(f"filter on `{name}`: it holds times, {bound!r} is {type(bound).__name__}, no datetime")
        if (bound.tzinfo is not None) != (self._type.tz is not None):
            fix = "give it a time zone" if self._type.tz else "leave its time zone out"
            raise FilterError(f"filter on `{name}`: it holds {self._type}, {bound!r} does not compare; {fix}")
        epoch = datetime.datetime(1970, 1, 1, tzinfo=bound.tzinfo and datetime.UTC)
        return (bound - epoch) // datetime.timedelta(microseconds=1)


def encoded(column: pa.ChunkedArray) -> Postings | Numbers | None:
    """A column made ready for filtering; None for types that have neither values to name nor an order."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind):
        # 64-bit offsets: the strings of one column may take more than 2 GB.
        wide = pa.bool_() if pa.types.is_boolean(kind) else pa.large_string()
        return Postings(column.cast(wide).combine_chunks(), "booleans" if wide == pa.bool_() else "strings")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Numbers(column.cast(kind).combine_chunks(), "numbers")
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return Numbers(column.cast(kind).combine_chunks(), "dates" if pa.types.is_date(kind) else "times")
    return None
