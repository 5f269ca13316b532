"""Text becomes typed columns, and what does not convert is found."""

import decimal
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.catalog.catalogue import open_catalogue
from src.catalog.convert import convert_columns
from src.contracts.errors import CatalogueError


def convert(splits: dict | None = None, domains: dict | None = None, **columns: object):
    return convert_columns(pa.table(columns), splits=splits or {}, domains=domains or {})


def test_known_columns_get_their_types() -> None:
    table, problems = convert(
        price=["1.50", None],
        in_stock=["Yes", "0"],
        listed_at=["2026-01-02", "2026-01-02T03:04:05+02:00"],
        is_query=["TRUE ", "f"],
        is_gallery=["no", "1"],
        split=["train", None],
        domain=["user", "catalogue"],
        item_id=[7, 8],
    )
    assert problems == []
    rows = table.to_pydict()
    assert rows["price"] == [1.5, None]
    assert rows["in_stock"] == [True, False]
    assert rows["listed_at"] == [
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
    ]
    assert rows["is_query"] == [True, False]
    assert rows["is_gallery"] == [False, True]
    assert rows["split"] == ["train", None]
    assert rows["item_id"] == ["7", "8"]


def test_values_are_mapped_to_ours() -> None:
    table, problems = convert(
        splits={"validation": "val", "1": "test"},
        domains={"studio": "catalogue"},
        split=["validation", "1", "train"],
        domain=["studio", "user", "catalogue"],
    )
    assert problems == []
    assert table["split"].to_pylist() == ["val", "test", "train"]
    assert table["domain"].to_pylist() == ["catalogue", "user", "catalogue"]


def test_numbers_of_a_parquet_file_are_mapped_too() -> None:
    table, problems = convert(splits={"0": "train", "1": "val"}, split=[0, 1], is_query=[0, 1])
    assert problems == []
    assert table["split"].to_pylist() == ["train", "val"]
    assert table["is_query"].to_pylist() == [False, True]


def test_each_value_that_does_not_convert_is_reported_with_its_row() -> None:
    table, problems = convert(
        price=["1,50", "2", "x"],
        in_stock=["maybe", "yes", "no"],
        listed_at=["2026-01-01", "soon", None],
        split=["train", "train", "dev"],
        domain=["studio", "user", None],
    )
    assert sorted(row for row, _ in problems) == [0, 0, 0, 1, 2, 2]
    text = "\n".join(what for _, what in problems)
    for part in (
        "price='1,50'",
        "price='x'",
        "in_stock='maybe': neither true nor false",
        "listed_at='soon'",
        "split='dev': none of train, val, test, all, held_out, none; map it with `data.splits.dev=...`",
        "domain='studio': none of catalogue, user; map it with `data.domains.studio=...`",
    ):
        assert part in text
    assert table["price"].to_pylist() == [None, 2.0, None]


def test_columns_of_the_right_type_and_unknown_columns_are_left_alone() -> None:
    table, problems = convert(price=[1.0, None], in_stock=[True, None], season=["summer", "007"])
    assert problems == []
    assert table.to_pydict() == {"price": [1.0, None], "in_stock": [True, None], "season": ["summer", "007"]}


NAN = float("nan")
MISSING = {
    "null": pa.array(["1", None, "2"]),
    "NaN": pa.array([1.0, NAN, 2.0]),
    "NaN of float32": pa.array([1.0, NAN, 2.0], pa.float32()),
    "null integer": pa.array([1, None, 2]),
    "empty": pa.array(["1", "", "2"]),
    "blanks": pa.array(["1", " \t\u00a0", "2"]),
    "empty binary": pa.array([b"1", b"", b"2"]),
    "coded NaN": pa.array([1.0, NAN, 2.0]).dictionary_encode(),
    "coded blank": pa.array(["1", " ", "2"]).dictionary_encode(),
    "runs": pa.RunEndEncodedArray.from_arrays([1, 2, 3], pa.array(["1", None, "2"])),
    "decimal": pa.array([decimal.Decimal(1), None, decimal.Decimal(2)], pa.decimal128(10, 0)),
}


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("name", ["image_id", "item_id", "parent_id", "category", "brand", "color"])
def test_a_text_that_is_missing_in_any_way_is_null(name: str, kind: str) -> None:
    table, problems = convert(**{name: MISSING[kind]})
    assert problems == []
    assert table[name].to_pylist() == ["1", None, "2"]


@pytest.mark.parametrize(
    ("name", "one", "parsed"),
    [
        ("price", "1.5", 1.5),
        ("in_stock", "yes", True),
        ("is_query", "1.0", True),
        ("is_gallery", "0", False),
        ("split", "val", "val"),
        ("domain", "user", "user"),
        ("listed_at", "2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_value_that_is_missing_in_any_way_is_null(name: str, one: str, parsed: object) -> None:
    for missing in (None, "", "  ", "\u00a0"):
        table, problems = convert(**{name: [one, missing]})
        assert (table[name].to_pylist(), problems) == ([parsed, None], [])
    for empty in (pa.nulls(2), pa.array([NAN, None]), pa.array([NAN, None], pa.float32())):
        table, problems = convert(**{name: empty})
        assert (table[name].to_pylist(), problems) == ([None, None], [])


def test_a_product_without_a_name_is_a_bad_row_and_no_product_called_nan(data_settings, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    columns = {"image_id": ["1", "2", "3", "4"], "image": ["a.jpg"] * 4}
    pq.write_table(pa.table({**columns, "item_id": [NAN, 1.0, 1.0, 2.5]}), tmp_path / "list.parquet")
    data = data_settings(reader="manifest", root=str(tmp_path), manifest="list.parquet")
    with pytest.raises(CatalogueError) as caught:
        open_catalogue(data)
    assert "row 1: no label (item_id is empty)" in caught.value.problems
    assert "row 4: item_id=2.5: not a whole number; store ids as strings" in caught.value.problems
    assert not any(problem.startswith(("row 2", "row 3")) for problem in caught.value.problems)
    pq.write_table(pa.table({**columns, "item_id": [[1], [2], [3], [4]]}), tmp_path / "list.parquet")
    with pytest.raises(CatalogueError, match=r"column 'item_id' holds list<.*>; ids are strings or whole numbers"):
        open_catalogue(data)


@pytest.mark.parametrize(
    "text", ["1_000", "inf", "-inf", "Infinity", "nan", "1,5", "\u0967\u0968", "1e400", "-1", "-0.01", "1 000", "5 EUR"]
)
def test_a_price_that_is_spelt_oddly_is_a_bad_row(text: str) -> None:
    table, problems = convert(price=["2.50", text])
    assert table["price"].to_pylist() == [2.5, None]
    assert [row for row, _ in problems] == [1]
    assert text in problems[0][1]


def test_a_decimal_comma_is_named_or_read() -> None:
    _, problems = convert(price=["1,5"])
    assert "`data.csv.decimal=comma` reads decimal commas" in problems[0][1]
    table = pa.table({"price": ["1,5", " 2 ", "1.000,50", "1.5"]})
    read, problems = convert_columns(table, splits={}, domains={}, decimal=",")
    assert read["price"].to_pylist() == [1.5, 2.0, None, None]
    assert [row for row, _ in problems] == [2, 3]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None], pa.uint8()), [1.0, None]),
        (pa.array([2**62, 3]), [2.0**62, 3.0]),
        (pa.array([1.5, NAN], pa.float16()), [1.5, None]),
        (pa.array([decimal.Decimal("9.99"), None], pa.decimal128(10, 2)), [9.99, None]),
        (pa.array([decimal.Decimal("9.99"), None], pa.decimal256(60, 2)), [9.99, None]),
        (pa.array(["9.99", None]).dictionary_encode(), [9.99, None]),
        (pa.array(["9.99", None], pa.string_view()), [9.99, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_prices_of_every_numeric_type_are_read(array: pa.Array, expected: list) -> None:
    table, problems = convert(price=array)
    assert problems == []
    assert table["price"].to_pylist() == expected
    assert table["price"].type == pa.float64()


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("price", [float("inf"), float("-inf"), -1.0])
def test_a_price_that_is_no_price_is_a_bad_row(kind: pa.DataType, price: float) -> None:
    table, problems = convert(price=pa.array([1.0, NAN, price], kind))
    assert table["price"].to_pylist() == [1.0, None, None]
    assert problems == [(2, f"price={price}: must be finite and not below 0; leave it empty where it is not known")]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1767312000123456789, None], pa.timestamp("ns")),
        pa.array([1767312000123456789, None], pa.timestamp("ns", tz="Europe/Berlin")),
        pa.array([1767312000, None], pa.timestamp("s")),
        pa.array([date(2026, 1, 2), None]),
        pa.array([date(2026, 1, 2), None], pa.date64()),
        pa.array(["2026-01-02", None]).dictionary_encode(),
        pa.array(["2026-01-02T00:00:00Z", None]),
    ],
    ids=lambda array: str(array.type),
)
def test_dates_of_every_type_are_read(array: pa.Array) -> None:
    table, problems = convert(listed_at=array)
    assert problems == []
    moment, none = table["listed_at"].to_pylist()
    assert (moment.replace(microsecond=0), none) == (datetime(2026, 1, 2, tzinfo=UTC), None)


ROLES = {
    "numbers": ["1", "0"],
    "floats": ["1.0", "0.0"],
    "words": ["True", "False"],
    "capitals": ["TRUE", "FALSE"],
    "yes": [" yes", "No "],
    "booleans": [True, False],
    "integers": [1, 0],
    "real": [1.0, 0.0],
    "decimals": [decimal.Decimal("1.0"), decimal.Decimal("0.0")],
    "coded": pa.array(["1.0", "0.0"]).dictionary_encode(),
}


@pytest.mark.parametrize("spelling", ROLES)
def test_roles_are_read_in_each_spelling_and_none_is_no_role(spelling: str) -> None:
    table, problems = convert(is_query=ROLES[spelling])
    assert (table["is_query"].to_pylist(), problems) == ([True, False], [])
    if isinstance(ROLES[spelling], list):
        none = "None" if isinstance(ROLES[spelling][0], str) else None
        table, problems = convert(is_query=[*ROLES[spelling], none])
        assert (table["is_query"].to_pylist(), problems) == ([True, False, None], [])


@pytest.mark.parametrize("value", ["2", "0.5", "perhaps", "-1", 2, 0.5])
def test_a_role_that_is_neither_is_a_bad_row(value: object) -> None:
    _, problems = convert(is_gallery=[value])
    assert problems == [(0, f"is_gallery={value!r}: neither true nor false")]
