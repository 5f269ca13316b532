"""How a column is read for filtering. Nothing is copied: codes, numbers and bits are those of the Arrow buffers."""

import datetime
import difflib
from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import FilterError
from src.index.coded_strings import is_string, sorted_dictionary

__all__ = ["Booleans", "Codes", "Column", "Numbers", "Texts", "is_readable", "read_column"]

_SHOWN = 8
_COMPARED = 16
"""Values up to which one comparison each is quicker than a table that is read for every row."""


class Codes:
    """Dictionary-encoded strings, compared by their codes.

    Attributes:
        kind: what the values are, for messages.
    """

    kind = "strings"

    def __init__(self, column: pa.DictionaryArray) -> None:
        values = column.dictionary
        if not pc.all(pc.less(values[:-1], values[1:]), min_count=0).as_py():
            column = sorted_dictionary(column)
        self._values = column.dictionary
        self._codes = _values(column.indices)
        self._valid = _Validity(column.indices)

    def mask(self, name: str, asked: Collection[Any]) -> np.ndarray:
        """The rows with any of some values, bool of shape (rows,)."""
        _check_type(name, self.kind, str, asked)
        if len(asked) > _COMPARED:
            found = pc.index_in(pa.array(asked, pa.large_string()), value_set=self._values).drop_null()
            wanted = np.zeros(max(1, len(self._values)), bool)
            wanted[found.to_numpy()] = True
            # What stands under a null may be any number.
            mask = np.take(wanted, self._codes, mode="clip")
        else:
            mask = np.zeros(len(self._codes), bool)
            for value in asked:
                code = self._code(value)
                if code is not None:
                    mask |= self._codes == code
        return self._valid.within(mask)

    def check(self, name: str, asked: Collection[Any]) -> None:
        """Refuse values that no row has."""
        _check_type(name, self.kind, str, asked)
        used = np.unique(self._codes[self._valid.within(np.ones(len(self._codes), bool))])
        _check_known(name, asked, self._values.take(pa.array(used)).to_pylist())

    def _code(self, value: str) -> int | None:
        # Arrow sorts by UTF-8 bytes and Python compares by code points: the two orders are the same.
        place = bisect_left(self._values, value, key=lambda scalar: scalar.as_py())
        return place if place < len(self._values) and self._values[place].as_py() == value else None


class Texts:
    """Strings that mostly differ from row to row: each filter reads all of them (some 15 ms a million rows).

    Attributes:
        kind: what the values are, for messages.
    """

    kind = "strings"

    def __init__(self, column: pa.Array) -> None:
        self._column = column

    def mask(self, name: str, asked: Collection[Any]) -> np.ndarray:
        """The rows with any of some values, bool of shape (rows,)."""
        _check_type(name, self.kind, str, asked)
        found = pc.is_in(self._column, value_set=pa.array(sorted(asked), self._column.type))
        return found.to_numpy(zero_copy_only=False)

    def check(self, name: str, asked: Collection[Any]) -> None:
        """Refuse values that no row has."""
        _check_type(name, self.kind, str, asked)
        _check_known(name, asked, self._column.unique().drop_null().to_pylist())


class Booleans:
    """True and False.

    Attributes:
        kind: what the values are, for messages.
    """

    kind = "booleans"

    def __init__(self, column: pa.BooleanArray) -> None:
        self._bits = _Bits(column.buffers()[1], column)
        self._valid = _Validity(column)

    def mask(self, name: str, asked: Collection[Any]) -> np.ndarray:
        """The rows with any of some values, bool of shape (rows,)."""
        _check_type(name, self.kind, bool, asked)
        bits = self._bits.unpacked()
        if len(asked) != 1:
            bits[:] = bool(asked)
        elif False in asked:
            np.logical_not(bits, out=bits)
        return self._valid.within(bits)

    def check(self, name: str, asked: Collection[Any]) -> None:
        """Refuse values that no row has."""
        _check_known(name, asked, [value for value in (False, True) if self.mask(name, {value}).any()])


class Numbers:
    """Numbers, dates or times in row order.

    Attributes:
        kind: what the values are, for messages.
    """

    def __init__(self, column: pa.Array, kind: str) -> None:
        """Read the values as numbers.

        Args:
            column: numbers, dates or timestamps, with nulls.
            kind: what they are.
        """
        self.kind = kind
        self._type = column.type
        self._valid = _Validity(column)
        if pa.types.is_timestamp(column.type):
            # Python's own resolution: a bound then compares exactly.
            column = column.cast(pa.timestamp("us", column.type.tz), safe=False).view(pa.int64())
        elif pa.types.is_date(column.type):
            column = column.cast(pa.date32()).view(pa.int32())
        self._values = _values(column)

    def mask(self, name: str, low: Any, high: Any) -> np.ndarray:
        """The rows between two bounds, both included, bool of shape (rows,)."""
        bounds = [None if bound is None else self._bound(name, bound) for bound in (low, high)]
        # Comparisons with NaN are False, which is what a NaN asks for.
        mask = self._values == self._values if self._values.dtype.kind == "f" else np.ones(len(self._values), bool)
        if bounds[0] is not None:
            mask = self._values >= bounds[0]
        if bounds[1] is not None:
            mask &= self._values <= bounds[1]
        return self._valid.within(mask)

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


Column = Codes | Texts | Booleans | Numbers


def is_readable(kind: pa.DataType) -> bool:
    """Whether columns of a type can be filtered by: strings, booleans, numbers, dates and times can."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return (
        number
        or is_string(kind)
        or any(of(kind) for of in (pa.types.is_boolean, pa.types.is_timestamp, pa.types.is_date))
    )


def read_column(column: pa.ChunkedArray) -> Column:
    """Lay out a column of a readable type; nothing of a column of one chunk is copied."""
    whole = column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.DictionaryArray):
        return Codes(whole) if is_string(whole.type) else read_column(pa.chunked_array([whole.dictionary_decode()]))
    if is_string(whole.type):
        return Texts(whole)
    if pa.types.is_boolean(whole.type):
        return Booleans(whole)
    if pa.types.is_timestamp(whole.type) or pa.types.is_date(whole.type):
        return Numbers(whole, "dates" if pa.types.is_date(whole.type) else "times")
    return Numbers(whole, "numbers")


def _values(column: pa.Array) -> np.ndarray:
    """What stands in a primitive column's buffer; any number where it is null."""
    buffer = column.buffers()[1]
    plain = pa.Array.from_buffers(column.type, len(column), [None, buffer], offset=column.offset)
    return plain.to_numpy(zero_copy_only=True)


class _Bits:
    """One bit a row, as Arrow packs them."""

    def __init__(self, buffer: pa.Buffer, column: pa.Array) -> None:
        self._packed = np.frombuffer(buffer, np.uint8) if buffer is not None else np.empty(0, np.uint8)
        self._offset, self._rows = column.offset, len(column)

    def unpacked(self) -> np.ndarray:
        """Bool array of shape (rows,)."""
        first = self._offset // 8
        skipped = self._offset - 8 * first
        bits = np.unpackbits(self._packed[first:], count=skipped + self._rows, bitorder="little")
        return bits[skipped:].view(bool)


class _Validity:
    """Which rows are not null."""

    def __init__(self, column: pa.Array) -> None:
        self._bits = _Bits(column.buffers()[0], column) if column.null_count else None

    def within(self, mask: np.ndarray) -> np.ndarray:
        """The mask, changed in place, without the rows that are null."""
        if self._bits is not None:
            mask &= self._bits.unpacked()
        return mask


def _check_type(name: str, kind: str, wanted: type, asked: Iterable[Any]) -> None:
    for value in asked:
        if not isinstance(value, wanted):
            raise FilterError(f"filter on `{name}`: it holds {kind}, {value!r} is {type(value).__name__}")


def _check_known(name: str, asked: Iterable[Any], values: Iterable[Any]) -> None:
    there = set(values)
    unknown = sorted((value for value in asked if value not in there), key=str)
    if unknown:
        known = sorted(map(str, there))
        near = difflib.get_close_matches(str(unknown[0]), known, _SHOWN, cutoff=0.5)
        listed = ", ".join(map(repr, near or known[:_SHOWN])) or "only nulls"
        raise FilterError(
            f"filter on `{name}`: no row has {', '.join(map(repr, unknown[:_SHOWN]))}; "
            f"of its {len(known)} value(s), the nearest: {listed}"
        )
