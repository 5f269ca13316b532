"""The folder reader."""

from pathlib import Path

import pytest

from src.catalog.folder import read_folder
from src.contracts.errors import CatalogueError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_the_folder_s_name_is_the_item(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.JPG", "b/1.webp", "007/deep/er.png", "007/notes.txt", "loose.jpg", "empty/readme.md")
    (tmp_path / "b" / "folder.jpg").mkdir()
    table = read_folder(tmp_path)
    assert table.to_pydict() == {
        "image_id": ["007/deep/er.png", "b/1.webp", "b/2.JPG"],
        "item_id": ["007", "b", "b"],
        "image": ["007/deep/er.png", "b/1.webp", "b/2.JPG"],
    }


def test_where_there_is_nothing_to_read_the_message_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no such folder; set `data\.root`"):
        read_folder(tmp_path / "absent")
    touch(tmp_path, "loose.jpg", "item/notes.txt")
    with pytest.raises(CatalogueError, match=r"expected root/label/name\.jpg"):
        read_folder(tmp_path)
    with pytest.raises(CatalogueError, match="no such folder"):
        read_folder(tmp_path / "loose.jpg")
