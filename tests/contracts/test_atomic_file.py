"""A reader of a file that is being replaced sees the old content or the new content, whatever happens to the writer."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.contracts.atomic_file import atomic_file, write_atomically

ROOT = Path(__file__).parents[2]

STOPPED_IN_THE_BLOCK = """
import sys
from pathlib import Path
from src.contracts.atomic_file import atomic_file

with atomic_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of it")
    print("written", flush=True)
    sys.stdin.read()
"""

ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from src.contracts.atomic_file import write_atomically

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), "x" * 5000)
except OSError as error:
    sys.exit(f"refused: {error.strerror}")
"""

WRITES_AGAIN_AND_AGAIN = """
import sys
from pathlib import Path
from src.contracts.atomic_file import write_atomically

print("started", flush=True)
sys.stdin.readline()
for _ in range(200):
    write_atomically(Path(sys.argv[1]), sys.argv[2] * 50_000)
"""


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def start(code: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_new_content_replaces_the_old_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
        assert not list(tmp_path.glob("*.txt"))[1:]
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["größer\r\n", b"\x00\xff\r\n", "", b""])
def test_text_and_bytes_are_written_as_they_are(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_block_leaves_the_old_content(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail_half_way() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half of it")
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_file(path):
        pass
    assert path.read_text() == "old"


def test_a_killed_writer_leaves_the_old_content_and_a_file_that_no_pattern_finds(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with start(STOPPED_IN_THE_BLOCK, str(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    left = next(entry for entry in tmp_path.iterdir() if entry != path)
    assert left.read_text() == "half of it"
    assert list(tmp_path.rglob("*.json")) == [path]
    write_atomically(path, "new")
    assert path.read_text() == "new"


def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with start(ON_A_FULL_DISK, str(path)) as process:
        _, errors = process.communicate(timeout=60)
    assert errors == "refused: File too large\n"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_blocks_at_once_write_two_files_and_the_last_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file(path) as one:
        one.write_text("one")
        with atomic_file(path) as other:
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_beside_two_writers_see_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "-" * 50_000)
    seen: set[str] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_text())

    with start(WRITES_AGAIN_AND_AGAIN, str(path), "a") as one, start(WRITES_AGAIN_AND_AGAIN, str(path), "b") as other:
        for process in (one, other):
            assert process.stdout is not None
            process.stdout.readline()
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for process in (one, other):
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            assert [process.wait(timeout=120) for process in (one, other)] == [0, 0]
        finally:
            over.set()
            reader.join()
    assert seen <= {letter * 50_000 for letter in "-ab"}
    assert {text[0] for text in seen} & {"a", "b"}
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_a_file_opened_for_writing(tmp_path: Path, umask: None) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    with plain.open("w"):
        pass
    write_atomically(ours, "")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode) == 0o640


def test_content_is_synced_before_the_name_and_the_name_before_the_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write_atomically(tmp_path / "file", "content")
    assert calls == ["file", "replace", "folder"]


def test_the_temporary_file_may_lie_in_another_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    with atomic_file(path, staging=tmp_path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert list(path.parent.iterdir()) == []
    assert path.read_text() == "new"
