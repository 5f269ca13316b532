"""A catalogue is opened whole: rows, splits, roles and images."""

from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import open_catalogue
from src.contracts.errors import CatalogueError, ConfigError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in "abcdef":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    return tmp_path


def write(root: Path, *lines: str) -> Path:
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    return root


def manifest(data_settings, root: Path, **overrides: object):
    return data_settings(
        **{"reader": "manifest", "root": str(root), "manifest": "list.csv", "split_by": "given", **overrides}
    )


def test_given_splits_and_roles_are_used(data_settings, root: Path) -> None:
    write(
        root,
        "image_id,item_id,image,split,is_query,is_gallery",
        "1,007,a.jpg,train,,",
        "2,007,b.jpg,val,1,0",
        "3,007,c.jpg,all,0,1",
        "4,010,d.jpg,test,1,1",
        "5,010,e.jpg,,0,1",
    )
    catalogue = open_catalogue(manifest(data_settings, root))
    assert catalogue.items["item_id"].to_pylist() == ["007", "007", "007", "010", "010"]
    assert catalogue.items["split"].to_pylist() == ["train", "val", "all", "test", "train"]
    assert catalogue.train_rows().tolist() == [0, 2, 4]
    assert catalogue.query_rows("val").tolist() == [1]
    assert catalogue.gallery_rows("val").tolist() == [2]
    assert catalogue.query_rows("test").tolist() == [3]
    assert catalogue.gallery_rows("test").tolist() == [2, 3]
    assert catalogue.gallery_rows(None).tolist() == [2, 3, 4]
    assert catalogue.train_rows().dtype == np.int64
    assert catalogue.test_split() == "test"
    assert catalogue.column("image_id", np.array([4, 1])).tolist() == ["5", "2"]
    assert catalogue.column("image_id", np.array([], np.int64)).shape == (0,)
    assert catalogue.image_bytes(3) == b"d"


def test_user_photos_ask_and_catalogue_images_answer(data_settings, root: Path) -> None:
    write(root, "item_id,image,split,domain", "x,a.jpg,val,photo", "x,b.jpg,val,catalogue", "x,c.jpg,val,")
    catalogue = open_catalogue(manifest(data_settings, root, domains={"photo": "user"}))
    assert catalogue.query_rows("val").tolist() == [0]
    assert catalogue.gallery_rows("val").tolist() == [1]
    assert catalogue.test_split() == "val"


def test_where_nothing_is_known_each_image_asks_and_answers(data_settings, root: Path) -> None:
    write(root, "item_id,image,split,domain", "x,a.jpg,val,catalogue", "x,b.jpg,val,")
    catalogue = open_catalogue(manifest(data_settings, root))
    assert catalogue.query_rows("val").tolist() == catalogue.gallery_rows("val").tolist() == [0, 1]


def test_products_of_one_parent_stay_together(data_settings, root: Path) -> None:
    lines = [f"image-{n},item-{n},a.jpg,{f'parent-{n // 4}' if n % 20 else ''}" for n in range(200)]
    write(root, "image_id,item_id,image,parent_id", *lines)
    settings = manifest(data_settings, root, split_by="product")
    items = open_catalogue(settings).items
    parents = {}
    for parent, split in zip(items["parent_id"].to_pylist(), items["split"].to_pylist(), strict=True):
        if parent is not None:
            parents.setdefault(parent, set()).add(split)
    assert all(len(found) == 1 for found in parents.values())
    assert set.union(*parents.values()) == {"train", "val", "test"}
    assert open_catalogue(settings).items.equals(items)


def test_a_folder_is_divided_by_its_labels(data_settings, folder_catalogue, tmp_path: Path) -> None:
    root = folder_catalogue(tmp_path / "shop", items=12, images=2, side=16)
    catalogue = open_catalogue(data_settings(root=str(root)))
    parts = {s: set(catalogue.column("item_id", catalogue.gallery_rows(s))) for s in ("train", "val", "test")}
    assert all(parts.values())
    assert sum(len(part) for part in parts.values()) == len(set.union(*parts.values())) == 12
    assert catalogue.query_rows("val").tolist() == catalogue.gallery_rows("val").tolist()


def test_all_problems_of_all_rows_stand_together_with_row_numbers(data_settings, root: Path) -> None:
    write(
        root,
        "image_id,item_id,image,split,is_query,is_gallery,price",
        "1,x,a.jpg,val,1,0,cheap",  # and a query without gallery
        "2,x,gone.jpg,train,0,1,1",
        "2,y,b.jpg,dev,0,1,2",
        "4,y,c.jpg,val,perhaps,0,3",
    )
    with pytest.raises(CatalogueError) as caught:
        open_catalogue(manifest(data_settings, root), need_gallery=True)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "row 1",
        "row 1",
        "row 2",
        "row 3",
        "row 3",
        "row 4",
    ]
    message = str(caught.value)
    for part in (
        "6 problem(s) found; nothing was started",
        "price='cheap'",
        "query without gallery: no gallery image of item 'x' in split 'val'",
        "missing file gone.jpg",
        "duplicate image_id '2', first in row 2",
        "split='dev'",
        "is_query='perhaps': neither true nor false",
    ):
        assert part in message


def test_rows_without_a_label_are_reported_with_the_others(data_settings, root: Path) -> None:
    write(root, "item_id,image,split", ",a.jpg,val", "x,gone.jpg,val")
    with pytest.raises(CatalogueError) as caught:
        open_catalogue(manifest(data_settings, root))
    assert caught.value.problems == ["row 1: no label (item_id is empty)", "row 2: missing file gone.jpg"]


def test_of_many_problems_the_first_twenty_are_shown(data_settings, root: Path) -> None:
    write(root, "image_id,item_id,image", *(f"{n},x,gone.jpg" for n in range(50)))
    with pytest.raises(CatalogueError, match="50 problem") as caught:
        open_catalogue(manifest(data_settings, root, split_by="product"))
    assert str(caught.value).count("gone.jpg") == 20
    assert "and 30 more" in str(caught.value)


def test_queries_without_gallery_are_refused_for_training_only(data_settings, root: Path) -> None:
    write(root, "item_id,image,split,is_query,is_gallery", "x,a.jpg,val,1,0", "y,b.jpg,val,0,1")
    assert open_catalogue(manifest(data_settings, root)).query_rows("val").tolist() == [0]
    with pytest.raises(CatalogueError, match="row 1: query without gallery"):
        open_catalogue(manifest(data_settings, root), need_gallery=True)


def test_given_splits_must_be_given(data_settings, root: Path) -> None:
    write(root, "item_id,image", "x,a.jpg")
    with pytest.raises(ConfigError, match=r"set `data\.split_by=product`"):
        open_catalogue(manifest(data_settings, root))


@pytest.mark.parametrize("split_by", ["given", "product"])
def test_an_empty_manifest_is_an_empty_catalogue(data_settings, root: Path, split_by: str) -> None:
    write(root, "item_id,image,split")
    catalogue = open_catalogue(manifest(data_settings, root, split_by=split_by), need_gallery=True)
    assert catalogue.items.num_rows == 0
    assert catalogue.train_rows().tolist() == catalogue.query_rows("val").tolist() == []
    assert catalogue.gallery_rows(None).tolist() == []


def test_remote_images_are_read_by_their_scheme(data_settings, root: Path) -> None:
    write(root, "item_id,image,split", f"x,file://{root}/c.jpg,val")
    assert open_catalogue(manifest(data_settings, root)).image_bytes(0) == b"c"
