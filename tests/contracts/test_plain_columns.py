"""Columns of each type without Arrow's encodings: the same values, and Arrow can take rows of them."""

import pyarrow as pa
import pytest

from src.contracts.plain_columns import plain_column, plain_table
from tests.arrow_types import every_column

ROWS = 6
COLUMNS = every_column(ROWS)


def values(column: pa.ChunkedArray) -> list:
    """Python's values; times in their own units, since Python has no nanoseconds; NaN as a word."""
    kind = column.type
    if pa.types.is_time(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        column = column.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64())
    return ["NaN" if value != value else value for value in column.to_pylist()]


@pytest.mark.parametrize("name", COLUMNS)
def test_the_values_stay_and_rows_can_be_taken(name: str) -> None:
    array = COLUMNS[name]
    column = pa.chunked_array([array[:2], array[2:]], array.type)
    plain = plain_column(column)
    taken = pa.table({"x": plain}).take(pa.array([5, 0]))["x"]
    if name == "dictionary of timestamp[ns]":
        column = column.cast(pa.timestamp("ns"))
    expected = values(column)
    if name == "uuid":
        expected = [str(value) for value in expected]
    elif name in ("bool8", "opaque", "tensor"):
        expected = values(pa.chunked_array([chunk.storage for chunk in column.chunks]))
    assert values(plain) == expected
    assert values(taken) == [expected[5], expected[0]]
    assert plain_column(plain).type == plain.type


@pytest.mark.parametrize("nest", ["list", "struct", "list of struct"])
@pytest.mark.parametrize("name", ["string_view", "binary_view", "runs of string", "halffloat", "string", "int64"])
def test_rows_of_nested_columns_can_be_taken(name: str, nest: str) -> None:
    inner = pa.StructArray.from_arrays([COLUMNS[name]], ["a"]) if "struct" in nest else COLUMNS[name]
    array = pa.ListArray.from_arrays(pa.array([0, 2, 4, 6], pa.int32()), inner) if "list" in nest else inner
    table = plain_table(pa.table({"x": array}))
    assert str(table.take(pa.array([1, 0]))["x"].to_pylist()) == str([array[1].as_py(), array[0].as_py()])


def test_a_plain_table_is_the_same_table() -> None:
    table = pa.table({"a": [1], "b": ["x"], "c": [[1.5]]})
    assert plain_table(table) is table
