"""Ids and names of each type as strings."""

import datetime
import decimal
import uuid

import pyarrow as pa
import pytest

from src.contracts.text_columns import text_column

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
NAN = float("nan")


def text(array: pa.Array, *, is_id: bool = True):
    # In two chunks, as tables of several row groups are.
    middle = len(array) // 2
    column, bad = text_column(pa.chunked_array([array[:middle], array[middle:]], array.type), is_id=is_id)
    assert column.type == pa.string()
    return column.to_pylist(), bad


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["007", "a b", " x "]), ["007", "a b", " x "]),
        (pa.array(["007", "a"], pa.large_string()), ["007", "a"]),
        (pa.array(["007", "a"], pa.string_view()), ["007", "a"]),
        (pa.array([b"007", "\u00e9".encode()]), ["007", "\u00e9"]),
        (pa.array([b"007"], pa.large_binary()), ["007"]),
        (pa.array([b"007"], pa.binary_view()), ["007"]),
        (pa.array([b"007", b"abc"], pa.binary(3)), ["007", "abc"]),
        *[(pa.array([7, 100], kind), ["7", "100"]) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())],
        *[(pa.array([7, 200], kind), ["7", "200"]) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())],
        (pa.array([2**63 - 1, -(2**63)]), [str(2**63 - 1), str(-(2**63))]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        *[(pa.array([1.0, NAN, -2.0], kind), ["1", None, "-2"]) for kind in (pa.float16(), pa.float32(), pa.float64())],
        (pa.array([2.0**53]), [str(2**53)]),
        (pa.array([decimal.Decimal(7), None], pa.decimal128(38, 0)), ["7", None]),
        (pa.array([decimal.Decimal("7.00")], pa.decimal128(38, 2)), ["7"]),
        (pa.array([decimal.Decimal(10**60)], pa.decimal256(70, 0)), [str(10**60)]),
        (pa.array([7], pa.decimal32(5, 0)), ["7"]),
        (pa.array(["x", None, "y"]).dictionary_encode(), ["x", None, "y"]),
        (pa.array([1.0, NAN]).dictionary_encode(), ["1", None]),
        (pa.DictionaryArray.from_arrays([1, None, 0], pa.array(["x", "y"], pa.string_view())), ["y", None, "x"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3, 4], pa.array(["x", None, "y"])), ["x", "x", None, "y"]),
        (pa.array([UUID.bytes, None], pa.uuid()), [str(UUID), None]),
        (pa.nulls(2), [None, None]),
        (pa.array([], pa.string()), []),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_ids_of_every_sensible_type_are_read(array: pa.Array, expected: list) -> None:
    assert text(array) == (expected, [])


@pytest.mark.parametrize(
    ("array", "bad"),
    [
        (pa.array([1.0, 1.5]), [(1, "1.5: not a whole number; store ids as strings")]),
        (pa.array([float("inf"), 1.0]), [(0, "inf: not a whole number; store ids as strings")]),
        (pa.array([2.0**53 + 2]), [(0, "9007199254740994.0: digits are lost in float64; store ids as strings")]),
        (pa.array([decimal.Decimal("1.5")]), [(0, "1.5: not a whole number; store ids as strings")]),
    ],
)
def test_numbers_that_are_no_ids_are_named_by_row(array: pa.Array, bad: list) -> None:
    column, found = text(array)
    assert found == bad
    assert [column[row] for row, _ in bad] == [None] * len(bad)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([True]),
        pa.array([datetime.date(2026, 1, 1)]),
        pa.array([datetime.datetime(2026, 1, 1)]),
        pa.array([datetime.time(1)]),
        pa.array([datetime.timedelta(1)]),
        pa.array([["x"]]),
        pa.array([{"x": 1}]),
        pa.array([[("x", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([b"\xff"]),
        pa.array([b"\xff\xfe"], pa.binary(2)),
    ],
    ids=lambda array: str(array.type),
)
def test_types_that_are_no_ids_are_named(array: pa.Array) -> None:
    with pytest.raises(ValueError, match=r"holds .*convert it"):
        text(array)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1.5, NAN, 2.0]), ["1.5", None, "2"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([datetime.date(2026, 1, 1), None]), ["2026-01-01", None]),
    ],
)
def test_names_may_be_of_each_type_that_has_a_text(array: pa.Array, expected: list) -> None:
    assert text(array, is_id=False) == (expected, [])


@pytest.mark.parametrize("array", [pa.array([["x"]]), pa.array([{"x": 1}]), pa.array([b"\xff"])])
def test_a_name_without_a_text_is_refused(array: pa.Array) -> None:
    with pytest.raises(ValueError, match="cannot be read as text"):
        text(array, is_id=False)


@pytest.mark.parametrize("is_id", [True, False])
def test_blanks_of_every_script_are_missing(is_id: bool) -> None:
    blanks = ["", " ", "\t\r\n", "\u00a0", "\u2003", "\u3000"]
    assert text(pa.array([*blanks, "x"]), is_id=is_id)[0] == [None] * len(blanks) + ["x"]
