"""The columns that batches have between the stages, and how a stage sets some of them."""

from collections.abc import Callable, Iterator

import pyarrow as pa

__all__ = ["ROWS", "Stage", "batches_of", "rebatched", "with_columns"]

Stage = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""One step of the pipeline; every engine runs the same ones."""

PLANNED = (
    pa.field("image_id", pa.string()),
    pa.field("item_id", pa.string()),
    pa.field("image", pa.string()),
    pa.field("box", pa.list_(pa.float64())),
    # Microseconds since 1970: a timestamp would be turned to the session's time zone by Spark.
    pa.field("event_at", pa.int64()),
    pa.field("known_file", pa.string()),
    pa.field("known_hash", pa.string()),
    pa.field("known_outcome", pa.string()),
    pa.field("embedded", pa.bool_()),
)
"""What the plan says of a row: what was found when its file was last read, and whether that is embedded already."""

ROWS = pa.schema(
    [
        *PLANNED,
        pa.field("state", pa.string()),
        pa.field("file", pa.string()),
        pa.field("content_hash", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("data", pa.binary()),
        pa.field("pixels", pa.binary()),
    ]
)
"""`state` is `unchanged` (file as it was, nothing to do), `touched` (same content, other file), or `new`. A row with a
`reason` goes to quarantine. `data` are a file's bytes, `pixels` uint8 of (size, size, 3)."""


def with_columns(batch: pa.RecordBatch, **columns: list[object] | pa.Array) -> pa.RecordBatch:
    """A batch with some of its columns replaced."""
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else batch.column(field.name)
        for field in ROWS
    ]
    return pa.record_batch(arrays, schema=ROWS)


def batches_of(planned: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    """Planned rows as batches with all columns."""
    missing = [field for field in ROWS if field not in PLANNED]
    for start in range(0, len(planned), rows):
        part = planned.slice(start, rows).combine_chunks()
        columns = [part[field.name].combine_chunks() for field in PLANNED]
        columns += [pa.nulls(len(part), field.type) for field in missing]
        yield pa.record_batch(columns, schema=ROWS)


def rebatched(batches: Iterator[pa.RecordBatch], *, rows: int, bytes_: int) -> Iterator[pa.RecordBatch]:
    """Split batches that have more rows, or more bytes of files and pixels, than one may have.

    Args:
        batches: of `ROWS`.
        rows: most rows of a batch.
        bytes_: most bytes, unless a single row has more.
    """
    for batch in batches:
        each = max(1, _bytes(batch) // max(1, len(batch)))
        most = max(1, min(rows, bytes_ // each))
        for start in range(0, len(batch), most):
            yield batch.slice(start, most)


def _bytes(batch: pa.RecordBatch) -> int:
    return int(batch.column("data").get_total_buffer_size() + batch.column("pixels").get_total_buffer_size())
