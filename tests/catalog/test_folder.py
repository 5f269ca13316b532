"""The folder reader: which files are products, and what it says of the others."""

import errno
import logging
import os
import socket
from pathlib import Path

import pytest

from src.catalog.catalogue import open_catalogue
from src.catalog.folder import read_folder
from src.contracts.decoding import decode
from src.contracts.errors import CatalogueError
from src.contracts.image_errors import UnsupportedImageError
from src.contracts.image_signature import SIGNATURE_BYTES, signed_format
from tests.image_kinds import KINDS
from tests.pictures import encode, smooth_picture

JPEG = encode(smooth_picture(6, 8, seed=0), "JPEG")


def put(root: Path, *names: str, content: bytes = JPEG) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def images(root: Path) -> list[str]:
    return read_folder(root)["image"].to_pylist()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)

    def last() -> str:
        return caplog.messages[-1] if caplog.messages else ""

    return last


def test_the_folder_s_name_is_the_item(tmp_path: Path, said) -> None:
    put(tmp_path, "b/2.JPG", "b/1.webp", "007/deep/er.png", "b-c/1.jpg")
    (tmp_path / "b" / "folder.jpg").mkdir()
    table = read_folder(tmp_path)
    assert table.to_pydict() == {
        "image_id": ["007/deep/er.png", "b/1.webp", "b/2.JPG", "b-c/1.jpg"],
        "item_id": ["007", "b", "b", "b-c"],
        "image": ["007/deep/er.png", "b/1.webp", "b/2.JPG", "b-c/1.jpg"],
    }
    assert said() == ""


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_that_is_decoded_begins_as_its_format(name: str) -> None:
    form = "WEBP" if name.startswith("WebP") else name.split(":")[0]
    assert signed_format(KINDS[name].data) == signed_format(KINDS[name].data[:SIGNATURE_BYTES]) == form


@pytest.mark.parametrize("text", [b"", b"BM", b"BMW or Audi: a comparison", b"RIFF\0\0\0\0WAVE", b"IInd", b"\xff\xd8"])
def test_what_begins_as_no_format_is_not_decoded_either(text: bytes) -> None:
    assert signed_format(text) is None
    with pytest.raises(UnsupportedImageError, match=r"not a JPEG|0 bytes"):
        decode(text)


@pytest.mark.parametrize("name", ["x.jfif", "x.jpe", "x", "x.JPG_large", "x.jpg.1", "x.txt", "x.jpg?w=800", "é x.png"])
def test_a_name_makes_no_image_and_hides_none(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"a/{name}")
    assert images(tmp_path) == [f"a/{name}"]


OTHERS = {
    "notes.txt": (b"red, size 40", "1 no images (a/notes.txt)"),
    "page.jpg": (b"<html>404</html>", "1 named as images, but of no format that is read (a/page.jpg)"),
    "phone.HEIC": (b"\0\0\0\x24ftypheic", "1 named as images, but of no format that is read (a/phone.HEIC)"),
    "none.png": (b"", "1 empty (a/none.png)"),
    ".hidden.jpg": (JPEG, "1 hidden or of a system (a/.hidden.jpg)"),
    "._shoe.jpg": (JPEG, "1 hidden or of a system (a/._shoe.jpg)"),
    ".DS_Store": (b"\0\0\0\1Bud1", "1 hidden or of a system (a/.DS_Store)"),
    "Thumbs.db": (JPEG, "1 hidden or of a system (a/Thumbs.db)"),
    "desktop.ini": (b"[x]", "1 hidden or of a system (a/desktop.ini)"),
    ".ipynb_checkpoints/x.jpg": (JPEG, "1 hidden or of a system (a/.ipynb_checkpoints)"),
    "__MACOSX/x.jpg": (JPEG, "1 hidden or of a system (a/__MACOSX)"),
    "@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg": (JPEG, "1 hidden or of a system (a/@eaDir)"),
    "$RECYCLE.BIN/x.jpg": (JPEG, "1 hidden or of a system (a/$RECYCLE.BIN)"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_left_out_is_counted_with_its_reason(tmp_path: Path, said, name: str) -> None:
    content, message = OTHERS[name]
    put(tmp_path, "a/front.jpg")
    put(tmp_path, f"a/{name}", content=content)
    assert images(tmp_path) == ["a/front.jpg"]
    assert said() == f"{tmp_path}: 1 images are read; left out: {message}"


def test_hidden_items_are_none(tmp_path: Path, said) -> None:
    put(tmp_path, "shoe/1.jpg", ".git/1.jpg", "__MACOSX/shoe/1.jpg", "loose.jpg")
    assert read_folder(tmp_path)["item_id"].to_pylist() == ["shoe"]
    assert said().endswith("2 hidden or of a system (.git, __MACOSX); 1 images in no item's folder (loose.jpg)")


def test_a_folder_that_is_hidden_itself_is_read(tmp_path: Path) -> None:
    put(tmp_path, ".cache/photos/shoe/1.jpg")
    assert images(tmp_path / ".cache" / "photos") == ["shoe/1.jpg"]


def test_of_many_names_the_first_are_told(tmp_path: Path, said) -> None:
    put(tmp_path, "a/1.jpg")
    put(tmp_path, *(f"a/{number}.txt" for number in range(9)), content=b"text")
    read_folder(tmp_path)
    assert said().endswith("left out: 9 no images (a/0.txt, a/1.txt, a/2.txt, ...)")


def test_links_are_followed(tmp_path: Path, said) -> None:
    put(tmp_path, "store/1.jpg", "store/deep/2.jpg", "root/real/3.jpg", "one.jpg")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "root" / "real" / "file.jpg").symlink_to(tmp_path / "one.jpg")
    (tmp_path / "again").symlink_to(tmp_path / "root")
    expected = ["linked/1.jpg", "linked/deep/2.jpg", "real/3.jpg", "real/file.jpg"]
    assert images(tmp_path / "root") == images(tmp_path / "again") == expected
    assert said() == ""


def test_a_folder_of_several_names_is_read_once_by_its_own(tmp_path: Path, said) -> None:
    put(tmp_path, "root/z/1.jpg", "store/2.jpg")
    for name, target in {"a": "root/z", "b": "store", "c": "store"}.items():
        (tmp_path / "root" / name).symlink_to(tmp_path / target)
    assert images(tmp_path / "root") == ["b/2.jpg", "z/1.jpg"]
    assert said().endswith("left out: 2 linked folders that were read before (a, c)")


def test_loops_of_links_end(tmp_path: Path, said) -> None:
    put(tmp_path, "root/a/1.jpg", "other/x/2.jpg")
    (tmp_path / "root" / "a" / "up").symlink_to("..")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(tmp_path / "root")
    (tmp_path / "other" / "x" / "self").symlink_to(".")
    (tmp_path / "root" / "a" / "ring").symlink_to("ring")
    assert images(tmp_path / "root") == ["a/1.jpg", "b/x/2.jpg"]
    assert "3 linked folders that were read before (" in said()
    assert f"1 not readable ({os.strerror(errno.ELOOP)}) (a/ring)" in said()


def test_links_to_nothing_are_told(tmp_path: Path, said) -> None:
    put(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "b").symlink_to(tmp_path / "no folder")
    assert images(tmp_path) == ["a/1.jpg"]
    assert said().endswith("2 links to nothing (b, a/gone.jpg)")


def test_what_cannot_be_read_is_told(tmp_path: Path, said, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may read everything, the system's calls are told to refuse."""
    put(tmp_path, "a/1.jpg", "a/locked.jpg", "closed/1.jpg")
    real_open, real_scan = open, os.scandir

    def refuse(real, end: str):
        def call(path, *arguments):
            if str(path).endswith(end):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *arguments)

        return call

    monkeypatch.setattr("builtins.open", refuse(real_open, "locked.jpg"))
    monkeypatch.setattr(os, "scandir", refuse(real_scan, "closed"))
    assert images(tmp_path) == ["a/1.jpg"]
    assert said().endswith("left out: 2 not readable (Permission denied) (a/locked.jpg, closed)")


def test_sockets_pipes_and_odd_names_do_not_stop_the_reader(tmp_path: Path, said) -> None:
    put(tmp_path, "a/1.jpg")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "a" / "socket.jpg"))
    (tmp_path / "a" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(JPEG)
    assert images(tmp_path) == ["a/1.jpg"]
    assert "2 neither files nor folders (a/pipe.jpg, a/socket.jpg)" in said()
    assert "1 with names that are not UTF-8 (a/caf\ufffd.jpg)" in said()


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ({}, "found: no files"),
        ({"loose.jpg": JPEG}, r"found: 1 images in no item's folder \(loose\.jpg\)"),
        ({"a/x.txt": b"text"}, r"found: 1 no images \(a/x\.txt\)"),
        ({"a/x.jpg": b"text"}, r"found: 1 named as images, but of no format that is read \(a/x\.jpg\)"),
        (
            {"a/.x.jpg": JPEG, "b.jpg": JPEG},
            r"found: 1 hidden or of a system \(a/\.x\.jpg\); 1 images in no item's folder",
        ),
    ],
)
def test_a_folder_without_images_says_what_is_there(tmp_path: Path, files: dict[str, bytes], there: str) -> None:
    for name, content in files.items():
        put(tmp_path, name, content=content)
    with pytest.raises(CatalogueError, match=rf"expected root/label/name\.jpg\); {there}"):
        read_folder(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    put(tmp_path, "loose.jpg")
    for name in ("absent", "loose.jpg"):
        with pytest.raises(CatalogueError, match=r"no such folder; set `data\.root`"):
            read_folder(tmp_path / name)


def test_a_folder_that_cannot_be_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"not readable \(File name too long\); set `data\.root`"):
        read_folder(tmp_path / ("x" * 300))


def test_all_that_is_listed_can_be_opened(data_settings, tmp_path: Path) -> None:
    put(tmp_path, "store/1.jpg", "root/a/noext", "root/b/x.jfif", "root/b/y.jpe", "root/a/z.jpg")
    (tmp_path / "root" / "c").symlink_to(tmp_path / "store")
    catalogue = open_catalogue(data_settings(root=str(tmp_path / "root")))
    assert len(catalogue.items) == 5
    assert {decode(catalogue.image_bytes(row)).shape for row in range(5)} == {(6, 8, 3)}
