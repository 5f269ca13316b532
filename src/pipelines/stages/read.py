"""Read: the bytes of each image whose file is not the one that was read before, concurrently."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from src.catalog.image_source import UnreadableImageError, read_image
from src.catalog.quality import Reason
from src.pipelines.fingerprint import Fingerprint, fingerprint
from src.pipelines.job import Job
from src.pipelines.stages.rows import Stage, with_columns

__all__ = ["LARGEST_FILE", "content_hash", "read_stage"]

LARGEST_FILE = 256 * 2**20
"""Bytes above which a file is not fetched: the decoder would refuse its pixels anyway."""

T = TypeVar("T")

_WAIT_S = 0.2
_PERMANENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, ImportError, ValueError)


@dataclass(frozen=True)
class _Read:
    state: str = "new"
    file: str | None = None
    content_hash: str | None = None
    reason: str | None = None
    detail: str | None = None
    data: bytes | None = None


def read_stage(job: Job) -> Stage:
    """Sets `state`, `file`, `content_hash` and `data`; a file that cannot be read is a row with the reason `missing`.

    A read that fails for a reason that may pass (no connection, a timeout, a busy server) is tried `job.attempts`
    times; only that row waits.
    """

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(job.read_threads) as pool:
            pending: deque[tuple[pa.RecordBatch, list[Future[_Read]]]] = deque()
            for batch in batches:
                rows = batch.select(["image", "box", "known_file", "known_hash", "known_outcome", "embedded"])
                pending.append((batch, [pool.submit(_read, job, row) for row in rows.to_pylist()]))
                if len(pending) > 1:
                    yield _filled(*pending.popleft())
            while pending:
                yield _filled(*pending.popleft())

    return read


def content_hash(data: bytes, box: list[float] | None) -> str:
    """The name of what an encoder is shown: a file's bytes, and the box that is cut out of its picture.

    Returns:
        32 hex digits.
    """
    digest = hashlib.sha256(data)
    if box is not None:
        digest.update(np.asarray(box, "<f8").tobytes())
    return digest.hexdigest()[:32]


def _filled(batch: pa.RecordBatch, futures: list[Future[_Read]]) -> pa.RecordBatch:
    found = [future.result() for future in futures]
    names = ("state", "file", "content_hash", "reason", "detail", "data")
    return with_columns(batch, **{name: [getattr(one, name) for one in found] for name in names})


def _read(job: Job, row: dict[str, object]) -> _Read:
    root, image = Path(job.root), str(row["image"])
    settled = row["known_outcome"] is not None and (row["known_outcome"] != "ok" or bool(row["embedded"]))
    file = Fingerprint(None, None)
    try:
        file = fingerprint(root, image)
        if settled and file.value is not None and file.value == row["known_file"]:
            return _Read("unchanged", file.value)
        if (file.size or 0) > LARGEST_FILE:
            return _Read(
                file=file.value, reason=str(Reason.TOO_LARGE), detail=f"{file.size} bytes; {LARGEST_FILE} are read"
            )
    except Exception:  # noqa: S110 - some servers answer no HEAD request; reading says what is wrong
        pass
    try:
        data = _tried(lambda: read_image(root, image), job.attempts)
    except UnreadableImageError as error:
        again = row["known_outcome"] == Reason.MISSING
        return _Read("unchanged" if again else "new", reason=str(Reason.MISSING), detail=str(error))
    found = content_hash(data, row["box"])  # type: ignore[arg-type]
    if settled and found == row["known_hash"]:
        same = file.value is None or file.value == row["known_file"]
        return _Read("unchanged" if same else "touched", file.value, found)
    return _Read("new", file.value, found, data=data)


def _tried(attempt: Callable[[], T], attempts: int) -> T:
    for number in range(1, attempts + 1):
        try:
            return attempt()
        except Exception as error:
            cause = error.__cause__ if isinstance(error, UnreadableImageError) else error
            if number == attempts or isinstance(cause, _PERMANENT):
                raise
            time.sleep(_WAIT_S * 2**number)
    raise AssertionError("attempts is at least 1")
