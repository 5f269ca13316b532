"""Ids, descriptions and groups of rows against the rows themselves."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.tables import validate_items
from src.search import items as module
from src.search.items import SHOWN, Items
from src.search.items_file import write_items
from tests.search.small_bundle import Shop
from tests.search.test_items_file import UGLY, table


@pytest.fixture(params=["mapped", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path):
    def opened(made: pa.Table) -> Items:
        if request.param == "memory":
            return Items.of_table(made)
        write_items(tmp_path / "items", made)
        return Items.open(tmp_path / "items")

    return opened


@pytest.mark.parametrize("rows", [0, 1, 2, 300])
def test_ids_find_their_rows_and_others_find_none(opened, rows: int) -> None:
    made = table(rows, seed=rows)
    items = opened(made)
    images, names = made["image_id"].to_pylist(), made["item_id"].to_pylist()
    assert len(items) == rows
    assert items.count == len(set(names))
    for row, image in enumerate(images):
        assert items.row_of_image(image) == row
    for name in UGLY:
        found = items.rows_of_item(name)
        assert found.dtype == np.int64
        assert found.tolist() == [row for row, item in enumerate(names) if item == name]
    for unknown in ("", "\0", "a\0", "zzz", "\U0010ffff", "sku/", "Sku/1"):
        assert items.row_of_image(unknown) is None
        assert items.rows_of_item(unknown).tolist() == []
    first = [names.index(name) for name in sorted(set(names))]
    assert items.first_rows().tolist() == first
    assert [items.first_row(number) for number in range(items.count)] == first
    assert items.item_ids(range(rows)) == names


def test_rows_are_shown_as_the_table_has_them_and_no_price_is_null(shop: Shop) -> None:
    items, rows = Items.of_table(shop.table), shop.rows()
    without_price = next(
        place for place, row in enumerate(rows) if row["price"] is not None and math.isnan(row["price"])
    )
    wanted = [5, 0, 5, without_price, len(rows) - 1]
    shown = items.shown(np.array(wanted))
    for row, found in zip(wanted, shown, strict=True):
        expected = {name: rows[row][name] for name in SHOWN}
        if expected["price"] is not None and math.isnan(expected["price"]):
            expected["price"] = None
        assert found == expected
    assert shown[0] is shown[2] is items.shown([5])[0]
    assert items.shown([]) == []


def test_all_columns_of_a_row_are_described(shop: Shop) -> None:
    found = Items.of_table(shop.table).described([3])[0]
    assert {name: value for name, value in found.items() if value is not None} == {
        name: value for name, value in shop.rows()[3].items() if value is not None and value == value
    }


def test_what_is_kept_is_begun_anew_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DESCRIBED", 10)
    made = table(300)
    items, names = Items.of_table(made), made["image_id"].to_pylist()
    draws = [np.random.default_rng(seed).integers(0, 300, 7) for seed in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for rows, shown in zip(draws, pool.map(items.shown, draws), strict=True):
            assert [row["image_id"] for row in shown] == [names[row] for row in rows]
    assert len(items._described) <= 10


def test_parents_group_items_and_items_without_one_stand_alone() -> None:
    rows = [("1", "a", "p"), ("2", "b", "p"), ("3", "c", None), ("4", "p", None), ("5", "c", None)]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(["image_id", "item_id", "parent_id"])}
    items = Items.of_table(validate_items(pa.table({**columns, "image": columns["image_id"]})))
    numbers = items.parent_of_row.tolist()
    assert numbers[0] == numbers[1]
    assert numbers[2] == numbers[4]
    assert len(set(numbers)) == 3
