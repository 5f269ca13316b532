"""Settings decide the split of each row, and what they cannot give is refused with what to change."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from src.catalog.assign_splits import divide
from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import CatalogueError, ConfigError
from src.contracts.settings import DataSettings, ShopSettings
from src.contracts.settings.splits import CountSplitSettings, TimeSplitSettings


def by_count(data_settings, train: int, val: int, **changes: object) -> DataSettings:
    values = {"order": "name", "joint_gallery": False, "ask": "unseen", **changes}
    return data_settings(split_by="count", count=CountSplitSettings(train=train, val=val, **values))


def by_time(data_settings, val_from: str, test_from: str = "") -> DataSettings:
    return data_settings(split_by="time", root="shop", time=TimeSplitSettings(val_from=val_from, test_from=test_from))


def photos(items: int = 5) -> pa.Table:
    """Of each item a photo to train on, one that is set aside, and a catalogue image."""
    rows = [
        (f"{item}{kind}", str(item), split, kind != "c", kind == "c")
        for item in range(items)
        for kind, split in (("t", "train"), ("v", "val"), ("c", "all"))
    ]
    names = ("image_id", "item_id", "split", "is_query", "is_gallery")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def splits(table: pa.Table, data: DataSettings) -> dict[str, str]:
    divided = divide(table, data)
    return dict(zip(divided["image_id"].to_pylist(), divided["split"].to_pylist(), strict=True))


def test_unseen_products_ask_and_photos_set_aside_of_trained_ones_are_left_out(data_settings) -> None:
    assert splits(photos(), by_count(data_settings, 3, 1)) == {
        **{
            f"{item}{kind}": split
            for item in "012"
            for kind, split in zip("tvc", ("train", "none", "train"), strict=True)
        },
        **{f"3{kind}": "val" for kind in "tvc"},
        **{f"4{kind}": "test" for kind in "tvc"},
    }


def test_a_joint_gallery_answers_both_and_is_not_trained_on(data_settings) -> None:
    table = divide(photos(), by_count(data_settings, 3, 1, joint_gallery=True))
    catalogue = Catalogue(table, Path("unused"))
    assert catalogue.column("image_id", catalogue.train_rows()).tolist() == ["0t", "0c", "1t", "1c", "2t", "2c"]
    for split, asked in (("val", ["3t", "3v"]), ("test", ["4t", "4v"])):
        assert catalogue.column("image_id", catalogue.query_rows(split)).tolist() == asked
        assert catalogue.column("image_id", catalogue.gallery_rows(split)).tolist() == ["3c", "4c"]


def test_seen_products_ask_with_what_was_set_aside_and_train_alike(data_settings) -> None:
    seen = Catalogue(divide(photos(), by_count(data_settings, 3, 0, ask="seen")), Path("unused"))
    unseen = Catalogue(divide(photos(), by_count(data_settings, 3, 1)), Path("unused"))
    assert seen.train_rows().tolist() == unseen.train_rows().tolist()
    assert seen.column("image_id", seen.query_rows("val")).tolist() == ["0v", "1v", "2v"]
    assert seen.column("image_id", seen.gallery_rows("val")).tolist() == ["0c", "1c", "2c"]


def test_images_that_ask_and_answer_are_never_in_a_joint_gallery(data_settings) -> None:
    table = photos().set_column(4, "is_gallery", pa.array([True] * 15))
    # The catalogue images neither: they ask as well.
    table = table.set_column(3, "is_query", pa.array([True] * 15))
    found = splits(table, by_count(data_settings, 3, 1, joint_gallery=True))
    assert set(found.values()) == {"train", "none", "val", "test"}


def test_rows_that_the_catalogue_trains_on_ask_by_domain_where_they_do_not_train(data_settings) -> None:
    # As open-metric-learning's format and the grocery set have it: roles for what is asked, none for what trains.
    asks = [image[-1] == "v" for image in photos()["image_id"].to_pylist()]
    table = photos().set_column(3, "is_query", pa.array(asks))
    both = Catalogue(divide(table, by_count(data_settings, 3, 1)), Path("unused"))
    assert both.column("image_id", both.query_rows("val")).tolist() == ["3t", "3v"]
    assert both.column("image_id", both.gallery_rows("val")).tolist() == ["3t", "3c"]
    domains = ["catalogue" if image[-1] == "c" else "user" for image in table["image_id"].to_pylist()]
    parted = table.append_column("domain", pa.array(domains))
    catalogue = Catalogue(divide(parted, by_count(data_settings, 3, 1, joint_gallery=True)), Path("unused"))
    assert catalogue.column("image_id", catalogue.query_rows("val")).tolist() == ["3t", "3v"]
    assert catalogue.column("image_id", catalogue.gallery_rows("val")).tolist() == ["3c", "4c"]


def test_products_are_parents_where_there_are(data_settings) -> None:
    table = photos().append_column("parent_id", pa.array(["p"] * 6 + [None] * 9))
    found = splits(table, by_count(data_settings, 3, 1, order="listed"))
    assert [found[f"{item}t"] for item in range(5)] == ["train", "train", "train", "train", "val"]


@pytest.mark.parametrize(
    ("train", "val", "changes", "message"),
    [
        (4, 2, {}, r"`data\.count\.train=4`, `data\.count\.val=2`: the catalogue has 5 products; lower them"),
        (5, 0, {}, r"`data\.count\.train=5`, `data\.count\.val=0`: the split 'val' has no query; divide 5 products"),
        (5, 0, {"ask": "seen", "aside": False}, r"the split 'val' has no query"),
        (5, 0, {"ask": "seen", "given": False}, r"`data\.count\.ask=seen`: the catalogue has no split column"),
    ],
)
def test_counts_that_cannot_be_had_are_refused(
    data_settings, train: int, val: int, changes: dict, message: str
) -> None:
    table, changes = photos(), dict(changes)
    if not changes.pop("aside", True):
        table = table.set_column(2, "split", pa.array(["train"] * 15))
    if not changes.pop("given", True):
        table = table.drop_columns("split")
    with pytest.raises(ConfigError, match=message):
        divide(table, by_count(data_settings, train, val, **changes))


def dated(*months: int | None) -> pa.Table:
    moments = [month and datetime(2025, month, 2, tzinfo=UTC) for month in months]
    column = pa.array(moments, pa.timestamp("us", tz="UTC"))
    return photos(len(months)).take(pa.array(range(0, 3 * len(months), 3))).append_column("listed_at", column)


def test_time_trains_on_the_first_months(data_settings) -> None:
    assert list(splits(dated(1, 10, 11, 12, 12), by_time(data_settings, "2025-11", "2025-12-01")).values()) == [
        "train",
        "train",
        "val",
        "test",
        "test",
    ]
    assert list(splits(dated(1, 11, 12), by_time(data_settings, "2025-11")).values()) == ["train", "val", "val"]


@pytest.mark.parametrize(
    ("months", "val_from", "test_from", "message"),
    [
        ((11, 12), "2025-11", "", "no training image remains; items were listed from 2025-11-02"),
        ((1, 2), "2025-11", "", "the split 'val' has no query; items were listed from 2025-01-02"),
        ((1, 11), "2025-11", "2025-12", "`data.time.test_from=2025-12`: the split 'test' has no query"),
    ],
)
def test_an_empty_split_by_time_is_refused(
    data_settings, months: tuple[int, ...], val_from: str, test_from: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        divide(dated(*months), by_time(data_settings, val_from, test_from))
    assert message in str(caught.value)


def test_items_without_a_date_are_listed_by_row(data_settings) -> None:
    with pytest.raises(CatalogueError) as caught:
        divide(dated(1, None, 11, None), by_time(data_settings, "2025-11"))
    assert caught.value.problems == [f"row {row}: no image of item {str(row - 1)!r} has listed_at" for row in (2, 4)]
    with pytest.raises(ConfigError, match=r"no column listed_at; name the manifest's with `data\.columns\.listed_at"):
        divide(photos(), by_time(data_settings, "2025-11"))


def from_file(data_settings, root: Path, *lines: str, **changes: object) -> DataSettings:
    (root / "split.csv").write_text("\n".join(lines) + "\n")
    return data_settings(split_by="file", split_file="split.csv", root=str(root), **changes)


def test_a_file_splits_by_item_or_by_image(data_settings, tmp_path: Path) -> None:
    data = from_file(data_settings, tmp_path, "item_id,split", "0,learn", "1,test", "2,none", splits={"learn": "train"})
    assert list(splits(photos(3), data).values()) == ["train"] * 3 + ["test"] * 3 + ["none"] * 3
    names = photos(1)["image_id"].to_pylist()
    data = from_file(
        data_settings,
        tmp_path,
        "image_id,item_id,split",
        *(f"{n},x,{s}" for n, s in zip(names, ("train", "val", "all"), strict=True)),
    )
    assert list(splits(photos(1), data).values()) == ["train", "val", "all"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (("item,split", "0,train"), "needs the column split and one of image_id and item_id; it has: item, split"),
        (("item_id,part", "0,train"), "needs the column split"),
        (("item_id,split", "0,dev"), "row 1: split='dev': none of train, val, test, all, held_out, none; map it"),
        (("item_id,split", "0,train", "0,val"), "row 2: item_id='0' is in 'train' and in 'val'"),
        (("item_id,split", "0,train"), "row 4 of the catalogue: item_id='1' is not in the file; add it"),
        (("item_id,split", "0,"), "row 1: split=None"),
    ],
)
def test_a_file_that_does_not_say_it_is_refused(
    data_settings, tmp_path: Path, lines: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        divide(photos(2), from_file(data_settings, tmp_path, *lines))
    assert problem in caught.value.problems[0]


def test_a_file_that_is_not_there_is_named(data_settings, tmp_path: Path) -> None:
    data = data_settings(split_by="file", split_file="gone.csv", root=str(tmp_path))
    with pytest.raises(CatalogueError, match=r"(?s)gone\.csv.*cannot be read"):
        divide(photos(), data)
    with pytest.raises(ConfigError, match="no training image remains; assign that split to some rows of the file"):
        divide(photos(1), from_file(data_settings, tmp_path, "item_id,split", "0,val"))


def test_the_shop_is_divided_by_time_where_that_is_asked(data_settings, tmp_path: Path) -> None:
    shop = ShopSettings(parents=20, seed=0, image_size=32, sessions=0)
    settings = {"reader": "shop", "root": str(tmp_path / "shop"), "shop": shop}
    given = open_catalogue(data_settings(split_by="given", **settings))
    months = sorted({(moment.year, moment.month) for moment in given.items["listed_at"].to_pylist()})
    cut = "{}-{:02d}".format(*months[len(months) // 2])
    time = TimeSplitSettings(val_from=cut, test_from="")
    catalogue = open_catalogue(data_settings(split_by="time", time=time, **settings))
    sides = catalogue.items["split"].to_pylist()
    assert Counter(sides).keys() == {"train", "val"}
    assert all(
        (moment.strftime("%Y-%m") >= cut) == (side == "val")
        for moment, side in zip(catalogue.items["listed_at"].to_pylist(), sides, strict=True)
    )
