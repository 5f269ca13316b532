"""What a worker is told: the job, which is the same for all workers, and its tasks."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from src.catalog.audit import is_remote
from src.contracts.preprocessing import PreprocessingSpec

__all__ = ["WORK", "Job", "Result", "Task", "WrittenFile", "joined"]

WORK = "_work"
"""Folder within the output for what runs need while they go on."""


@dataclass(frozen=True)
class Job:
    """The part of a run that does not change from task to task; plain values, so that it can be sent to processes.

    Attributes:
        output: folder or URI of the tables.
        root: folder of relative image paths.
        encoder: folder of a bundle, with or without an index, whose encoder embeds.
        encoder_id: of that encoder.
        dim: of its embeddings.
        preprocessing: of that bundle, as `PreprocessingSpec.to_dict` gives it.
        work: folder or URI for the files of this run between driver and workers.
        run: the run's number.
        created_at: when the run began, microseconds since 1970 in UTC.
        rules: limits of the image checks; None checks only that a picture can be decoded.
        batch: images embedded at once.
        batch_mb: most MiB of files or pixels in one batch.
        keep_pixels: whether normalised images are stored.
        read_threads: reads under way at once in a worker.
        decode_threads: decodings under way at once in a worker.
        encoder_threads: threads of one call of the encoder; 0 takes all cores.
        ahead: batches that are decoded while another one is embedded; 0 decodes and embeds in turn.
        runtime: of the encoder, as `open_encoder` names it.
        attempts: how often an image is read until the failure counts.
    """

    output: str
    root: str
    encoder: str
    encoder_id: str
    dim: int
    preprocessing: Mapping[str, Any]
    work: str
    run: int
    created_at: int
    rules: Mapping[str, Any] | None = None
    batch: int = 32
    batch_mb: int = 64
    keep_pixels: bool = True
    read_threads: int = 16
    decode_threads: int = 1
    encoder_threads: int = 1
    ahead: int = 0
    runtime: str = "auto"
    attempts: int = 3

    @property
    def spec(self) -> PreprocessingSpec:
        """How pixels are made."""
        return PreprocessingSpec.from_dict(self.preprocessing)

    @property
    def rules_hash(self) -> str:
        """16 hex digits that name the rules."""
        return hashlib.sha256(json.dumps(self.rules, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Task:
    """Rows `start` to `stop` (exclusive) of a row group of a file of planned rows."""

    path: str
    group: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def planned(self) -> pa.Table:
        """The rows, in the columns of the plan."""
        with fsspec.open(self.path, "rb") as file:
            rows: pa.Table = pq.ParquetFile(file).read_row_group(self.group)
        return rows.slice(self.start, len(self))


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file that a worker wrote, and that no commit names yet.

    Attributes:
        path: within the table's folder; of embeddings, which are appended to theirs, the whole path.
        size: in bytes.
        rows: how many it has.
    """

    path: str
    size: int
    rows: int


@dataclass(frozen=True)
class Result:
    """What became of a task.

    Attributes:
        rows: how many it had.
        counts: how many rows were `unchanged`, `touched`, `embedded`, `normalised`, and `reason:CODE`.
        files: by table.
    """

    rows: int
    counts: Mapping[str, int]
    files: Mapping[str, WrittenFile]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Result":
        """The inverse of `to_dict`."""
        files = {table: WrittenFile(**file) for table, file in values["files"].items()}
        return cls(values["rows"], values["counts"], files)


def joined(folder: str, *names: str) -> str:
    """A path below a folder or a URI."""
    if is_remote(folder):
        return "/".join([folder.rstrip("/"), *names])
    return str(Path(folder, *names))
