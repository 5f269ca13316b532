"""What stands in the log after crashes, damage and full disks."""

import errno
import os
from pathlib import Path

import pytest

from src.contracts.errors import BundleError, LookalikeError
from src.index.live.log import LogWriter, read_frames

PAYLOADS = [b"first", b"", b"third" * 100]


def written(path: Path) -> list[int]:
    """Writes the payloads and returns where each frame ends."""
    log = LogWriter(path)
    ends = [0]
    for sequence, payload in enumerate(PAYLOADS, 1):
        log.append(sequence, payload)
        ends.append(log.end)
    log.close()
    return ends


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    ends = written(tmp_path / "log")
    frames = list(read_frames(tmp_path / "log"))
    assert [(frame.sequence, frame.payload, frame.end) for frame in frames] == list(
        zip([1, 2, 3], PAYLOADS, ends[1:], strict=True)
    )
    assert [frame.sequence for frame in read_frames(tmp_path / "log", ends[1])] == [2, 3]


def test_a_log_cut_at_any_byte_keeps_its_whole_frames(tmp_path: Path) -> None:
    ends = written(tmp_path / "log")
    data = (tmp_path / "log").read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:length])
        assert len(list(read_frames(tmp_path / "cut"))) == sum(end <= length for end in ends[1:])


def test_a_flipped_bit_anywhere_is_refused_and_never_skipped(tmp_path: Path) -> None:
    ends = written(tmp_path / "log")
    data = (tmp_path / "log").read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        (tmp_path / "damaged").write_bytes(damaged)
        frame = max(end for end in ends if end <= place)
        with pytest.raises(BundleError, match=f"damaged at byte {frame}: .*truncate -s {frame} "):
            list(read_frames(tmp_path / "damaged"))


def test_pages_that_were_never_written_are_an_end(tmp_path: Path) -> None:
    written(tmp_path / "log")
    with (tmp_path / "log").open("ab") as file:
        file.write(b"\0" * 5000)
    assert len(list(read_frames(tmp_path / "log"))) == 3
    with (tmp_path / "log").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="damaged at byte"):
        list(read_frames(tmp_path / "log"))


def test_an_unfinished_end_is_cut_before_the_next_append(tmp_path: Path) -> None:
    ends = written(tmp_path / "log")
    with (tmp_path / "log").open("ab") as file:
        file.write(b"LkLg torn" * 10)
    log = LogWriter(tmp_path / "log", ends[-1])
    log.append(4, b"fourth")
    log.close()
    assert [frame.payload for frame in read_frames(tmp_path / "log")] == [*PAYLOADS, b"fourth"]


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_full_disk_changes_nothing_and_is_got_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    ends = written(tmp_path / "log")
    log = LogWriter(tmp_path / "log", ends[-1])
    real, calls = {"write": os.write, "fsync": os.fsync}[failing], 0

    def full(descriptor: int, *data: memoryview) -> int | None:
        nonlocal calls
        calls += 1
        if calls == 1 and failing == "write":
            return os.pwrite(descriptor, data[0][:7], ends[-1])
        if calls <= 2 and (failing == "write" or calls == 1):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, *data)

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(LookalikeError, match="No space left on device; nothing was changed"):
        log.append(4, b"fourth")
    assert (tmp_path / "log").stat().st_size == ends[-1]
    log.append(4, b"fourth again")
    log.close()
    assert [frame.payload for frame in read_frames(tmp_path / "log")] == [*PAYLOADS, b"fourth again"]


def test_a_write_that_cannot_be_undone_ends_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogWriter(tmp_path / "log")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(LookalikeError, match="Input/output error"):
            log.append(1, b"lost")
    with pytest.raises(LookalikeError, match="open it again"):
        log.append(1, b"after")
    log.close()
