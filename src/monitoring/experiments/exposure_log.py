"""The exposure log: who saw which variant, when, and with which probability.

Files of JSON Lines in one folder. Each process appends to files of its own, so that no lock is needed; a line is
written whole or, if the process is killed, torn at its end, which the reader leaves out. The folder's size is
bounded: what would exceed it is dropped and counted, and never blocks a request. A replayed exposure has the id of
the first, and counts once when read.
"""

import json
import os
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from src.contracts.errors import TableError

__all__ = ["EXPOSURES", "Exposure", "ExposureLog", "read_exposures"]

EXPOSURES = pa.schema(
    [
        pa.field("exposure_id", pa.string(), nullable=False),
        pa.field("exposed_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("experiment", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("variant", pa.string(), nullable=False),
        pa.field("propensity", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Exposure:
    """One user who was shown one variant.

    Attributes:
        exposure_id: the same for a repetition of the same exposure, such as the request's id.
        exposed_at: with its time zone.
        experiment: name of the experiment.
        user_id: the unit that was assigned.
        variant: what it saw.
        propensity: the probability with which it was assigned that.
    """

    exposure_id: str
    exposed_at: datetime
    experiment: str
    user_id: str
    variant: str
    propensity: float


class ExposureLog:
    """Appends exposures to a folder, from many threads and processes.

    Args:
        folder: made where it is absent.
        most_bytes: of all files of the folder together.
        file_bytes: of one file, after which another one is begun.

    Attributes:
        dropped: exposures that were not written, for lack of room or by an error of the disk; also a metric for an
            alert.
    """

    def __init__(self, folder: Path, *, most_bytes: int = 1 << 30, file_bytes: int = 64 << 20) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.dropped = 0
        self._folder, self._most, self._file_bytes = folder, most_bytes, file_bytes
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._written, self._room = 0, 0

    def append(self, exposure: Exposure) -> bool:
        """Hand a line to the system (a power cut may lose it, a killed process not); False where it was dropped."""
        line = json.dumps({**asdict(exposure), "exposed_at": exposure.exposed_at.isoformat()}).encode() + b"\n"
        with self._lock:
            try:
                if self._file is None or self._written + len(line) > min(self._file_bytes, self._room):
                    self._next_file()
                if self._file is None or len(line) > self._room:
                    self.dropped += 1
                    return False
                self._file.write(line)
            except OSError:
                self.dropped += 1
                self.close()
                return False
            self._written += len(line)
            return True

    def _next_file(self) -> None:
        """Begin a file if the folder has room; others may have filled or emptied it since the last one was begun."""
        self.close()
        used = sum(path.stat().st_size for path in self._folder.glob("exposures-*.jsonl"))
        self._room = max(self._most - used, 0)
        if self._room:
            name = f"exposures-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}.jsonl"
            self._file = (self._folder / name).open("xb", buffering=0)

    def close(self) -> None:
        """Close the file that is written to; a later exposure begins another one."""
        if self._file is not None:
            self._file.close()
        self._file, self._written = None, 0


def read_exposures(folder: Path) -> pa.Table:
    """All exposures of a folder, by time, each exposure id once.

    Raises:
        TableError: a line, other than the torn last one of a file, that is no exposure.
    """
    found: dict[str, dict[str, object]] = {}
    for path in sorted(folder.glob("exposures-*.jsonl")):
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                row = json.loads(line)
                row["exposed_at"] = datetime.fromisoformat(row["exposed_at"])
                row = {name: row[name] for name in EXPOSURES.names}
            except (ValueError, KeyError, TypeError) as error:
                raise TableError(
                    f"{path}, line {number}: is no exposure ({error!r}); mend or remove the line"
                ) from error
            found.setdefault(str(row["exposure_id"]), row)
    return pa.Table.from_pylist([*found.values()], schema=EXPOSURES).sort_by("exposed_at")
