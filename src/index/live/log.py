"""The append-only log: what it returns from is on the disk, and what is damaged is refused.

A frame is what one sync makes durable: a header of 32 bytes (marker, length of the payload, sequence number, time of
writing, CRC-32 of the payload, CRC-32 of the header) and the payload. Since the header has a checksum of its own, a
payload that ends early can only be a write that was cut off, which nobody was told of; everything else that does not
add up is damage to something that was acknowledged.
"""

import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from src.contracts.errors import BundleError, LookalikeError

__all__ = ["Frame", "LogWriter", "log_bytes", "read_frames", "segment_path", "segments"]

_MARKER = b"LkLg"
_HEADER = struct.Struct("<4sIQQII")


@dataclass(frozen=True)
class Frame:
    """What one sync made durable.

    Attributes:
        sequence: counts from 1; no number is left out.
        written_ns: time of writing, nanoseconds since 1970, by the writer's clock.
        payload: the changes.
        header: the header as it stands in the file.
        end: offset in the file behind the frame, in bytes.
    """

    sequence: int
    written_ns: int
    payload: bytes
    header: bytes
    end: int


def segment_path(folder: Path, number: int) -> Path:
    """Where segment `number` of a folder's log stands."""
    return folder / f"log-{number:08d}"


def segments(folder: Path) -> list[int]:
    """The numbers of the segments that a folder has, ascending."""
    return sorted(int(path.name[4:]) for path in folder.glob("log-*") if path.name[4:].isdigit())


def log_bytes(folder: Path) -> int:
    """Bytes of all segments; one that a merge removes meanwhile counts nothing."""
    total = 0
    for number in segments(folder):
        with suppress(FileNotFoundError):
            total += segment_path(folder, number).stat().st_size
    return total


def read_frames(path: Path, start: int = 0) -> Iterator[Frame]:
    """The frames of a segment from offset `start` on; ends before a frame that was not written to its end.

    Raises:
        BundleError: the file is damaged; names the offset.
    """
    with path.open("rb") as file:
        file.seek(start)
        offset = start
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            marker, length, sequence, written_ns, payload_crc, header_crc = _HEADER.unpack(header)
            if marker != _MARKER or zlib.crc32(header[:-4]) != header_crc:
                if not any(header) and not _has_content(file):
                    # Some file systems lengthen a file before they write to it.
                    return
                raise _damage(path, offset, "no frame begins here")
            payload = file.read(length)
            if len(payload) < length:
                return
            if zlib.crc32(payload) != payload_crc:
                raise _damage(path, offset, f"frame {sequence} has the wrong checksum")
            offset += len(header) + length
            yield Frame(sequence, written_ns, payload, header, offset)


def _has_content(file: object) -> bool:
    return any(any(block) for block in iter(lambda: file.read(1 << 20), b""))  # type: ignore[attr-defined]


def _damage(path: Path, offset: int, what: str) -> BundleError:
    return BundleError(
        f"{path}: damaged at byte {offset}: {what}, and acknowledged changes stand at and behind it. "
        "Restore the folder from a copy; to go on without them instead, keep a copy and cut the file: "
        f"truncate -s {offset} {path}"
    )


class LogWriter:
    """Appends frames to one segment. Not for several threads at once.

    Args:
        path: the segment; made when it is not there.
        end: offset behind the last whole frame; what stands behind it is cut off.
    """

    def __init__(self, path: Path, end: int = 0) -> None:
        self.path = path
        self.end = end
        self._broken = False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.ftruncate(self._descriptor, end)
        os.fsync(self._descriptor)

    def append(self, sequence: int, payload: bytes) -> None:
        """Write a frame and wait until it is on the disk.

        Raises:
            LookalikeError: the disk is full or fails; the log is as before and takes appends once there is room, or,
                where that can't be restored, takes no more.
        """
        self.check_whole()
        start = _HEADER.pack(_MARKER, len(payload), sequence, time.time_ns(), zlib.crc32(payload), 0)[:-4]
        frame = memoryview(start + struct.pack("<I", zlib.crc32(start)) + payload)
        try:
            os.lseek(self._descriptor, self.end, os.SEEK_SET)
            written = 0
            while written < len(frame):
                written += os.write(self._descriptor, frame[written:])
            os.fsync(self._descriptor)
        except BaseException as error:
            self._undo()
            if not isinstance(error, OSError):
                raise
            outcome = "nothing was changed. Make room on the disk and send the change again"
            if self._broken:
                outcome = "nor taken back: when the index is opened again, the change may be there or not"
            raise LookalikeError(f"{self.path}: not written: {error.strerror}; {outcome}") from None
        self.end += len(frame)

    def check_whole(self) -> None:
        """Raise `LookalikeError` where a write failed and could not be taken back: its bytes may stand at the end."""
        if self._broken:
            raise LookalikeError(
                f"{self.path}: an earlier write could not be undone; close the index and open it again"
            )

    def _undo(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.end)
            os.fsync(self._descriptor)
        except OSError:
            self._broken = True

    def close(self) -> None:
        """Close the file; everything in it is on the disk already."""
        os.close(self._descriptor)
