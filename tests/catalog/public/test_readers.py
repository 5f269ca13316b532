"""The readers of the public sets, on tiny folders of the published layouts, and the protocol that they end up with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.catalog.public import PUBLIC_READERS
from src.catalog.public.cars import read_cars
from src.catalog.public.cub import read_cub
from src.catalog.public.inshop import read_inshop
from src.catalog.public.sop import read_sop
from src.commandline import composed
from src.contracts.errors import CatalogueError, ConfigError
from src.contracts.settings import TrainSettings
from tests.catalog.public.layouts import write_cars, write_cars_devkit, write_cub, write_inshop, write_sop

WRITERS = {"cars": write_cars, "cub": write_cub, "inshop": write_inshop, "sop": write_sop}


def opened(name: str, root: Path, *overrides: str) -> Catalogue:
    settings = composed(
        TrainSettings,
        "train",
        f"data={name}",
        f"data.root={root}",
        "data.val_fraction=0.4",
        f"hydra.runtime.output_dir={root}",
        *overrides,
    )
    return open_catalogue(settings.data, need_gallery=True)


def items(catalogue: Catalogue, rows: np.ndarray) -> set[str]:
    return set(catalogue.column("item_id", rows))


@pytest.mark.parametrize("name", WRITERS)
def test_no_class_is_on_two_sides_and_every_photo_is_on_one(name: str, tmp_path: Path) -> None:
    assert WRITERS.keys() == PUBLIC_READERS.keys()
    catalogue = opened(name, WRITERS[name](tmp_path))
    sides = [items(catalogue, catalogue.split_rows(split)) for split in ("train", "val", "test")]
    assert all(len(side) >= 2 for side in sides)
    assert sum(map(len, sides)) == len(set.union(*sides))
    rows = np.concatenate([catalogue.split_rows(split) for split in ("train", "val", "test")])
    assert sorted(rows.tolist()) == list(range(catalogue.items.num_rows))
    assert catalogue.test_split() == "test"
    assert catalogue.image_bytes(0).startswith(b"\xff\xd8")


@pytest.mark.parametrize("name", ["cars", "cub", "sop"])
def test_each_photo_asks_and_is_searched(name: str, tmp_path: Path) -> None:
    catalogue = opened(name, WRITERS[name](tmp_path))
    for split in ("val", "test"):
        np.testing.assert_array_equal(catalogue.query_rows(split), catalogue.split_rows(split))
        np.testing.assert_array_equal(catalogue.gallery_rows(split), catalogue.split_rows(split))


def test_cub_s_first_hundred_classes_train(tmp_path: Path) -> None:
    table = read_cub(write_cub(tmp_path, photos=1))
    assert table["item_id"].to_pylist()[:2] == ["001.Bird_1", "002.Bird_2"]
    assert table["split"].to_pylist() == ["train"] * 5 + ["test"] * 3


def test_cub_s_classes_are_those_of_the_labels_whatever_the_order(tmp_path: Path) -> None:
    write_cub(tmp_path, photos=1)
    labels = (tmp_path / "image_class_labels.txt").read_text().splitlines()
    (tmp_path / "image_class_labels.txt").write_text("\n".join(reversed(labels)))
    assert read_cub(tmp_path)["split"].to_pylist() == ["train"] * 5 + ["test"] * 3


@pytest.mark.parametrize("write", [write_cars, write_cars_devkit])
def test_cars_first_98_classes_train_in_both_layouts(write: Callable[[Path], Path], tmp_path: Path) -> None:
    rows = read_cars(write(tmp_path)).to_pylist()
    by_class: dict[str, set[str]] = {}
    for row in rows:
        by_class.setdefault(row["item_id"], set()).add(row["split"])
        assert (tmp_path / row["image"]).is_file()
    assert len(rows) == 12
    assert by_class == {
        "001 Make Model 1": {"train"},
        "002 Make Model 2": {"train"},
        "003 Make Model 3": {"train"},
        "098 Make Model 98": {"train"},
        "099 Make Model 99": {"test"},
        "196 Make Model 196": {"test"},
    }


def test_sop_s_products_have_their_category(tmp_path: Path) -> None:
    table = read_sop(write_sop(tmp_path))
    assert table["split"].to_pylist() == ["train"] * 10 + ["test"] * 10
    assert table["item_id"].to_pylist()[:4] == ["1", "1", "2", "2"]
    assert table["category"].to_pylist()[:3] == ["coffee_maker", "coffee_maker", "bicycle"]


@pytest.mark.parametrize(
    ("listing", "images"), [("Eval/list_eval_partition.txt", "Img"), ("list_eval_partition.txt", "")]
)
def test_inshop_s_queries_and_gallery_are_the_published_ones(listing: str, images: str, tmp_path: Path) -> None:
    catalogue = opened("inshop", write_inshop(tmp_path, listing=listing, images=images))
    queries, gallery = catalogue.query_rows("test"), catalogue.gallery_rows("test")
    assert (len(queries), len(gallery)) == (2, 4)
    assert not set(queries) & set(gallery)
    assert items(catalogue, queries) == items(catalogue, gallery) == {"id_00000006", "id_00000007"}
    held_out = catalogue.split_rows("val")
    assert len(held_out) == 6
    np.testing.assert_array_equal(catalogue.query_rows("val"), held_out)
    np.testing.assert_array_equal(catalogue.gallery_rows("val"), held_out)
    assert set(catalogue.items["category"].to_pylist()) == {"WOMEN/Dresses"}


@pytest.mark.parametrize(
    ("read", "named"),
    [
        (read_cub, r"no images\.txt there .*expected CUB_200_2011 as published: images\.txt"),
        (
            read_cars,
            r"cars_meta\.mat.*cannot be opened .*expected the set as published: cars_annos\.mat and car_ims/, or",
        ),
        (read_sop, r"no Ebay_train\.txt there .*expected Stanford_Online_Products as published"),
        (read_inshop, r"no Eval/list_eval_partition\.txt there .*\(or Img/img/WOMEN/\.\.\.\); set `data\.root`"),
    ],
)
def test_a_folder_of_something_else_is_told_the_layout(
    read: Callable[[Path], object], named: str, tmp_path: Path
) -> None:
    with pytest.raises(CatalogueError, match=f"(?s){named}"):
        read(tmp_path)


def test_a_byte_order_mark_and_carriage_returns_change_nothing(tmp_path: Path) -> None:
    header = "image_id class_id super_class_id path"
    for name, product in (("Ebay_train.txt", "7"), ("Ebay_test.txt", "8")):
        text = f"{header}\r\n1 {product} 1 bicycle_final/caf\u00e9{product}.JPG\r\n"
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_sop(tmp_path)["item_id"].to_pylist() == ["7", "8"]


def test_lines_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    write_sop(tmp_path)
    with (tmp_path / "Ebay_test.txt").open("a") as file:
        file.write("\n21 11 1\n")
    with pytest.raises(CatalogueError, match="line 13: 3 fields, expected 4"):
        read_sop(tmp_path)
    (tmp_path / "Ebay_train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogueError, match="line 1: not a text file in UTF-8"):
        read_sop(tmp_path)
    (tmp_path / "Ebay_train.txt").write_text("image_id class_id super_class_id path\n")
    with pytest.raises(CatalogueError, match="no lines"):
        read_sop(tmp_path)


def test_a_photo_without_a_class_is_named(tmp_path: Path) -> None:
    write_cub(tmp_path)
    (tmp_path / "image_class_labels.txt").write_text("1 1\n")
    with pytest.raises(CatalogueError, match="image 2 has no class number"):
        read_cub(tmp_path)


def test_an_unknown_status_is_named(tmp_path: Path) -> None:
    write_inshop(tmp_path)
    path = tmp_path / "Eval" / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("query", "probe"))
    with pytest.raises(CatalogueError, match="evaluation_status 'probe' is none of train, query, gallery"):
        read_inshop(tmp_path)


def test_a_file_that_is_no_matlab_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cars_annos.mat").write_bytes(b"not a MATLAB file, but long enough to look at its header" * 9)
    with pytest.raises(CatalogueError, match=r"(?s)cars_annos\.mat.*not a MATLAB file that can be read"):
        read_cars(tmp_path)


def test_photos_that_are_missing_are_found_before_training(tmp_path: Path) -> None:
    write_cub(tmp_path)
    (tmp_path / "images" / "001.Bird_1" / "Bird_1_0000.jpg").unlink()
    with pytest.raises(CatalogueError, match=r"row 1: missing file images/001\.Bird_1/Bird_1_0000\.jpg"):
        opened("cub", tmp_path)


def test_the_held_out_classes_follow_from_the_seed_and_their_number_is_exact(tmp_path: Path) -> None:
    write_cub(tmp_path, classes=tuple(range(1, 31)))
    held_out = [
        items(c, c.split_rows("val")) for c in (opened("cub", tmp_path, f"data.split_seed={s}") for s in (0, 0, 1))
    ]
    assert [len(side) for side in held_out] == [12, 12, 12]
    assert held_out[0] == held_out[1] != held_out[2]


def test_too_few_classes_to_hold_out_are_refused(tmp_path: Path) -> None:
    write_cub(tmp_path)
    with pytest.raises(ConfigError, match=r"`data\.val_fraction=0\.1` of 5 training classes holds out 0"):
        opened("cub", tmp_path, "data.val_fraction=0.1")
