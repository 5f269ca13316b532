"""Two folders change places, or nothing happens."""

import ctypes
import errno
from pathlib import Path

import pytest

from src.contracts import exchange as module
from src.contracts.exchange import exchange


def folders(root: Path) -> tuple[Path, Path]:
    for name in ("a", "b"):
        (root / name).mkdir()
        (root / name / "file").write_text(name)
    return root / "a", root / "b"


def test_filled_folders_change_places(tmp_path: Path) -> None:
    a, b = folders(tmp_path)
    assert exchange(a, b)
    assert ((a / "file").read_text(), (b / "file").read_text()) == ("b", "a")


def test_a_missing_folder_is_an_error_and_nothing_changes(tmp_path: Path) -> None:
    a, _ = folders(tmp_path)
    with pytest.raises(FileNotFoundError):
        exchange(a, tmp_path / "absent")
    assert (a / "file").read_text() == "a"


class Library:
    """A C library without the call, or on a file system that cannot."""

    def __init__(self, code: int | None) -> None:
        if code is not None:
            self.renameat2 = self.Call(code)

    class Call:
        def __init__(self, code: int) -> None:
            self.code = code

        def __call__(self, *arguments: object) -> int:
            ctypes.set_errno(self.code)
            return -1


@pytest.mark.parametrize("code", [None, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_where_the_system_cannot_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
    a, b = folders(tmp_path)
    monkeypatch.setattr(module.ctypes, "CDLL", lambda *arguments, **options: Library(code))
    assert not exchange(a, b)
    assert (a / "file").read_text() == "a"
