"""Rows that cannot be used."""

from pathlib import Path

import pyarrow as pa
import pytest

from src.catalog.audit import audit_rows, is_remote, queries_without_gallery


def test_every_bad_row_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    table = pa.table(
        {
            "image_id": ["1", "2", "2", "4", "5", "1", "7", "8"],
            "item_id": ["x", None, "x", "", "x", "x", "x", "x"],
            "image": ["a.jpg", "a.jpg", "b.jpg", "a.jpg", None, ".", "s3://bucket/no.jpg", "long " * 100],
        }
    )
    assert audit_rows(table, tmp_path) == [
        (1, "no label (item_id is empty)"),
        (2, "missing file b.jpg"),
        (2, "duplicate image_id '2', first in row 2"),
        (3, "no label (item_id is empty)"),
        (4, "no image"),
        (5, "missing file ."),
        (5, "duplicate image_id '1', first in row 1"),
        (7, f"missing file {'long ' * 100}"),
    ]


def test_an_empty_table_has_no_bad_rows(tmp_path: Path) -> None:
    table = pa.table({name: pa.array([], pa.string()) for name in ("image_id", "item_id", "image")})
    assert audit_rows(table, tmp_path) == []


@pytest.mark.parametrize(
    ("image", "remote"), [("s3://b/k.jpg", True), ("https://x/y.jpg", True), ("a/b.jpg", False), ("/a:b.jpg", False)]
)
def test_a_scheme_makes_an_image_remote(image: str, remote: bool) -> None:
    assert is_remote(image) is remote


def test_queries_without_gallery_are_found_where_they_matter() -> None:
    rows = [
        # item, split, is_query, is_gallery
        ("a", "val", True, False),  # answered by the next row
        ("a", "val", False, True),
        ("b", "val", True, False),  # answered by an image of all splits
        ("b", "all", False, True),
        ("c", "val", True, False),  # only the test split has it: a problem
        ("c", "test", False, True),
        ("d", "train", True, False),  # training rows are not asked
        ("e", "val", True, True),  # leave-one-out is not looked at
        ("f", "test", True, False),  # nothing anywhere: a problem
        ("f", "test", False, False),
    ]
    names = ("item_id", "split", "is_query", "is_gallery")
    table = pa.table(dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True)))
    assert queries_without_gallery(table) == [
        (4, "query without gallery: no gallery image of item 'c' in split 'val'"),
        (8, "query without gallery: no gallery image of item 'f' in split 'test'"),
    ]
