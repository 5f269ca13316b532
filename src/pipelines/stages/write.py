"""Write: what a task made, as Parquet files that no table names until the driver commits them."""

import uuid
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from src.pipelines.batch_tables import EMBEDDINGS, FILES, IMAGES, NEW_EMBEDDINGS, QUARANTINE, SCHEMAS
from src.pipelines.job import Job, Result, WrittenFile, joined

__all__ = ["write_task"]

_UTC = pa.timestamp("us", tz="UTC")


def write_task(job: Job, batches: Iterator[pa.RecordBatch]) -> Result:
    """Write the rows of a task.

    Args:
        job: the run.
        batches: of `EMBEDDED`.

    Returns:
        The files, those of embeddings in `job.work`, and the counts. The files of a task that fails are named by no
        table; vacuuming removes them.
    """
    counts: Counter[str] = Counter()
    rows = 0
    with _Files(job) as files:
        for batch in batches:
            rows += len(batch)
            state = batch.column("state")
            counts.update(value for value in state.to_pylist() if value != "new")
            made = batch.filter(pc.not_equal(state, "unchanged"))
            if not len(made):
                continue
            reasons = made.column("reason")
            counts.update(f"reason:{reason}" for reason in reasons.to_pylist() if reason is not None)
            # What is only another file of the same content keeps its outcome.
            outcome = pc.if_else(
                pc.equal(made.column("state"), "touched"), made.column("known_outcome"), pc.fill_null(reasons, "ok")
            )
            of_run = {
                "run": _repeated(job.run, len(made), pa.int64()),
                "seen_at": _repeated(job.created_at, len(made), pa.int64()).cast(_UTC),
                "preprocessing": _repeated(job.spec.hash, len(made), pa.string()),
            }
            rules = _repeated(job.rules_hash, len(made), pa.string())
            files.write(FILES, made, **of_run, rules=rules, outcome=outcome)
            bad = pc.is_valid(reasons)
            files.write(QUARANTINE, made.filter(bad), **{name: values.filter(bad) for name, values in of_run.items()})
            if job.keep_pixels:
                stored = pc.and_(pc.is_valid(made.column("pixels")), _is_new_content(made))
                kept = {name: values.filter(stored) for name, values in of_run.items()}
                files.write(IMAGES, made.filter(stored), **kept)
                counts["normalised"] += int(pc.sum(stored).as_py() or 0)
            fresh = made.filter(pc.is_valid(made.column("vector")))
            counts["embedded"] += len(fresh)
            files.write(EMBEDDINGS, fresh, **_embedding_columns(job, fresh))
    return Result(rows, dict(+counts), files.written)


def _is_new_content(made: pa.RecordBatch) -> pa.Array:
    """Whether pixels differ from those that are stored: of another content, or of one that was in quarantine."""
    same = pc.equal(made.column("content_hash"), made.column("known_hash"))
    was_ok = pc.equal(made.column("known_outcome"), "ok")
    return pc.invert(pc.fill_null(pc.and_(same, was_ok), False))


def _embedding_columns(job: Job, fresh: pa.RecordBatch) -> dict[str, pa.Array]:
    known, found = fresh.column("known_hash"), fresh.column("content_hash")
    # The first picture shows its image since the item was listed, another one since it was found.
    changed = pc.fill_null(pc.not_equal(known, found), False)
    event_at = pc.if_else(changed, pa.scalar(job.created_at, pa.int64()), fresh.column("event_at"))
    return {
        "encoder_id": _repeated(job.encoder_id, len(fresh), pa.string()),
        "event_at": event_at.cast(_UTC),
        "dim": _repeated(job.dim, len(fresh), pa.int32()),
        "version": _repeated(job.run, len(fresh), pa.int64()),
    }


def _repeated(value: Any, count: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)


class _Files:
    """A Parquet file for each table that gets rows, opened when the first come."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._open: dict[str, tuple[str, Any, pq.ParquetWriter, int]] = {}
        self.written: dict[str, WrittenFile] = {}

    def __enter__(self) -> "_Files":
        return self

    def write(self, table: str, rows: pa.RecordBatch, **columns: pa.Array) -> None:
        if not len(rows):
            return
        schema = NEW_EMBEDDINGS if table == EMBEDDINGS else SCHEMAS[table]
        arrays = [columns[field.name] if field.name in columns else rows.column(field.name) for field in schema]
        if table not in self._open:
            self._open[table] = self._started(table, schema)
        path, file, writer, count = self._open[table]
        writer.write_batch(pa.record_batch(arrays, schema=schema))
        self._open[table] = (path, file, writer, count + len(rows))

    def _started(self, table: str, schema: pa.Schema) -> tuple[str, Any, pq.ParquetWriter, int]:
        name = f"part-{self._job.run:06d}-{uuid.uuid4().hex}.parquet"
        folder = self._job.work if table == EMBEDDINGS else joined(self._job.output, table)
        file = fsspec.open(joined(folder, name), "wb").open()
        # Pixels and vectors do not repeat: a dictionary of them would only be thrown away.
        coded = [field.name for field in schema if field.name not in ("pixels", "vector", "image_id")]
        return (
            joined(folder, name) if table == EMBEDDINGS else name,
            file,
            pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=coded),
            0,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for table, (name, file, writer, count) in self._open.items():
            writer.close()
            size = int(file.tell())
            file.close()
            self.written[table] = WrittenFile(name, size, count)
