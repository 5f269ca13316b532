"""`items.arrow` against row-by-row references in Python."""

import datetime
import os
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import BundleError, TableError
from src.contracts.tables import validate_items
from src.search.items_file import BY_IMAGE, BY_ITEM, ITEM, NUMBERS, PARENT, arrange_items, map_items, write_items

UGLY = [
    "a",
    "b",
    "é",
    "z",
    "Z",
    '"',
    "'",
    "a/b",
    "%2F",
    " ",
    "日本",
    "😀",
    "a b",
    "\u0301",
    "\uffff",
    "sku/1",
    "sku/10",
]


def table(rows: int, seed: int = 0) -> pa.Table:
    draw = random.Random(seed)
    ids = [f"{draw.choice(UGLY)}{number}{draw.choice(UGLY)}" for number in range(rows)]
    items = [draw.choice(UGLY) for _ in range(rows)]
    # An item stands under one parent; some parents are named like items.
    parents = {item: draw.choice([None, None, "P", *UGLY]) for item in UGLY}
    columns = {
        "image_id": ids,
        "item_id": items,
        "parent_id": pa.array([parents[item] for item in items], pa.string()),
        "image": ids,
        "brand": pa.array([draw.choice(["x", "y", None]) for _ in range(rows)], pa.string()),
    }
    return validate_items(pa.table(columns))


@pytest.mark.parametrize("rows", [0, 1, 2, 50, 400])
def test_numbers_and_orders_are_those_of_the_ids(rows: int) -> None:
    made = table(rows, seed=rows)
    arranged = arrange_items(made)
    images, items, parents = (made[name].to_pylist() for name in ("image_id", "item_id", "parent_id"))
    names = sorted(set(items))
    assert arranged[ITEM].to_pylist() == [names.index(item) for item in items]
    assert arranged[BY_IMAGE].to_pylist() == sorted(range(rows), key=lambda row: images[row])
    assert arranged[BY_ITEM].to_pylist() == sorted(range(rows), key=lambda row: (items[row], row))
    pairs = zip(items, parents, strict=True)
    same = [("item", item) if parent is None else ("parent", parent) for item, parent in pairs]
    numbers = arranged[PARENT].to_pylist()
    assert len(set(numbers)) == len(set(same))
    assert len(set(zip(numbers, same, strict=True))) == len(set(same))


@pytest.mark.parametrize("rows", [0, 1, 300])
def test_what_is_mapped_is_what_was_written_and_equal_tables_give_equal_bytes(rows: int, tmp_path: Path) -> None:
    made = table(rows)
    write_items(tmp_path / "one", made)
    # Chunks, offsets and dictionaries are no part of what a table says.
    other = pa.concat_tables([made.slice(0, rows // 3), made.slice(rows // 3)])
    brand = other["brand"].dictionary_encode()
    write_items(tmp_path / "two", other.set_column(other.column_names.index("brand"), "brand", brand))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    mapped = map_items(tmp_path / "one").drop_columns(NUMBERS)
    assert mapped.to_pylist() == made.to_pylist()


def test_columns_that_cannot_be_asked_for_are_left_out_and_the_rest_keeps_its_values() -> None:
    made = table(3)
    day, moment = datetime.date(2024, 2, 29), datetime.datetime(1969, 12, 31, 23, 59, 59, 5)
    further = {
        "tags": pa.array([["a"]] * 3),
        "blob": pa.array([b"x"] * 3),
        "size": pa.array([1, None, 3], pa.int8()),
        "day": pa.array([day, None, day], pa.date64()),
        "moment": pa.array([moment, None, moment], pa.timestamp("ns")),
        "kind": pa.array(["a", None, "a"]).dictionary_encode(),
    }
    for name, column in further.items():
        made = made.append_column(name, column)
    arranged = arrange_items(made)
    assert not {"tags", "blob"} & {*arranged.column_names}
    rows = arranged.select(["size", "day", "moment", "kind"]).to_pylist()
    assert rows[0] == {"size": 1, "day": day, "moment": moment, "kind": "a"}
    assert set(rows[1].values()) == {None}


def test_a_column_that_is_named_like_one_of_ours_is_refused() -> None:
    made = table(2).append_column("#item", pa.array([1, 2]))
    with pytest.raises(TableError, match=r"column '#item' has a name that .* are kept for; rename it"):
        arrange_items(made)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a readable table"):
        map_items(tmp_path / "nothing")
    (tmp_path / "text").write_text("image_id,item_id\n")
    with pytest.raises(BundleError, match="not a readable table"):
        map_items(tmp_path / "text")
    made = pa.table({"image_id": ["a"], "item_id": ["b"]})
    with pa.ipc.new_file(tmp_path / "other", made.schema) as writer:
        writer.write_table(made)
    with pytest.raises(BundleError, match="it has no column #by_image, #by_item, #item, #parent"):
        map_items(tmp_path / "other")


def test_a_mapped_file_may_be_replaced_by_a_rename(tmp_path: Path) -> None:
    made, other = table(200), table(150, seed=9)
    write_items(tmp_path / "items", made)
    mapped = map_items(tmp_path / "items")
    write_items(tmp_path / "new", other)
    os.replace(tmp_path / "new", tmp_path / "items")
    assert mapped["image_id"].to_pylist() == made["image_id"].to_pylist()
    assert map_items(tmp_path / "items")["image_id"].to_pylist() == other["image_id"].to_pylist()


def test_columns_of_integers_are_read_where_they_are_mapped(tmp_path: Path) -> None:
    write_items(tmp_path / "items", table(200))
    before = pa.total_allocated_bytes()
    mapped = map_items(tmp_path / "items")
    arrays = [mapped[name].chunk(0).to_numpy(zero_copy_only=True) for name in NUMBERS]
    assert all(array.dtype == np.int32 and not array.flags.writeable for array in arrays)
    assert pa.total_allocated_bytes() == before
