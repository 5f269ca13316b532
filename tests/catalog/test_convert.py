"""Text becomes typed columns, and what does not convert is found."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa

from src.catalog.convert import convert_columns


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
