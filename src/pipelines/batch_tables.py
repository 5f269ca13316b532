"""The tables that a batch writes beside the embeddings: what was read, normalised images, and quarantine."""

from datetime import UTC, datetime

import fsspec
import pyarrow as pa
from deltalake import DeltaTable

from src.contracts.errors import TableError
from src.pipelines.job import joined

__all__ = ["EMBEDDINGS", "FILES", "IMAGES", "NEW_EMBEDDINGS", "QUARANTINE", "SCHEMAS", "open_table", "time_of"]

FILES, IMAGES, QUARANTINE, EMBEDDINGS = "files", "images", "quarantine", "embeddings"
_UTC = pa.timestamp("us", tz="UTC")

SCHEMAS = {
    FILES: pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("image", pa.string(), nullable=False),
            pa.field("box", pa.list_(pa.float64())),
            pa.field("file", pa.string()),
            pa.field("content_hash", pa.string()),
            pa.field("preprocessing", pa.string(), nullable=False),
            pa.field("rules", pa.string(), nullable=False),
            pa.field("outcome", pa.string(), nullable=False),
            pa.field("detail", pa.string()),
            pa.field("run", pa.int64(), nullable=False),
            pa.field("seen_at", _UTC, nullable=False),
        ]
    ),
    IMAGES: pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("content_hash", pa.string(), nullable=False),
            pa.field("preprocessing", pa.string(), nullable=False),
            pa.field("pixels", pa.binary(), nullable=False),
            pa.field("run", pa.int64(), nullable=False),
        ]
    ),
    QUARANTINE: pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("image", pa.string(), nullable=False),
            pa.field("content_hash", pa.string()),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("detail", pa.string()),
            pa.field("run", pa.int64(), nullable=False),
            pa.field("seen_at", _UTC, nullable=False),
        ]
    ),
}
"""All are append-only. In `files`, the row of an image with the highest `run` says what is known of it: which file it
was (`file`), what it held, and the `outcome`, `ok` or a reason of quarantine, under a preprocessing and quality rules.
`pixels` are uint8 of (size, size, 3)."""

NEW_EMBEDDINGS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("encoder_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("event_at", _UTC),
        pa.field("dim", pa.int32(), nullable=False),
        pa.field("vector", pa.binary(), nullable=False),
        pa.field("norm", pa.float32(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
    ]
)
"""Embeddings as workers write them; the time at which they are known is that of the commit."""


def open_table(output: str, name: str) -> DeltaTable:
    """Open one of the tables, or make it.

    Args:
        output: folder or URI of the tables; of an object store, credentials and address come from the environment.
        name: a key of `SCHEMAS`.

    Raises:
        TableError: the folder holds a table of other columns.
    """
    uri = joined(output, name)
    backend, path = fsspec.core.url_to_fs(uri)
    backend.makedirs(path, exist_ok=True)
    table = DeltaTable.create(uri, SCHEMAS[name], mode="ignore")
    found, expected = (pa.schema(schema).names for schema in (table.schema().to_arrow(), SCHEMAS[name]))
    if found != expected:
        raise TableError(f"{uri}: has the columns {', '.join(found)}, not {', '.join(expected)}; name another output")
    return table


def time_of(microseconds: int) -> datetime:
    """A time of the table from microseconds since 1970."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
