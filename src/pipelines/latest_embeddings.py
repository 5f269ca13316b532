"""The latest view, from which indexes are built: the embedding of each image that counts, now or at an earlier time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from src.contracts.embedding_rows import EMBEDDING_ROWS
from src.contracts.errors import TableError
from src.contracts.tables import embeddings_schema
from src.pipelines.point_in_time import PointInTime, point_in_time_sql

__all__ = ["latest_embeddings"]

_ROWS_AT_ONCE = 10_000


@contextmanager
def latest_embeddings(
    table: DeltaTable, *, encoder_id: str, at: datetime | None = None, memory_limit: str | None = None
) -> Iterator[pa.RecordBatchReader]:
    """Read the embedding of each image that counts, by the rule of point-in-time joins.

    That is the one of the latest event time, of equal ones the one created last, then that of the highest version. An
    image whose latest row is a tombstone has none.

    Args:
        table: see `open_embeddings`; a Delta table stays at the version at which it was opened.
        encoder_id: embeddings of two encoders are never mixed.
        at: as everything was known at this time; None for now.
        memory_limit: of DuckDB, for instance "4GB"; it writes what is more to disk. None for 80 % of the memory.

    Yields:
        A stream in the schema of `embeddings_schema(dim)`, one row an image, in no particular order. It must be read
        before the block ends.

    Raises:
        TableError: there is no row of this encoder, or its rows have several dimensions.
    """
    rows = table.to_pyarrow_dataset().filter(pc.field("encoder_id") == encoder_id)
    names = [name for name in EMBEDDING_ROWS.names if name not in ("image_id", "version", "deleted")]
    join = PointInTime(
        keys=("image_id",), at="at", columns=tuple(names), prefix="", version="version", deleted="deleted"
    )
    moment = datetime.now(UTC) if at is None else at
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        if memory_limit is not None:
            engine.execute("SET memory_limit = ?", [memory_limit])
        engine.register("facts", rows)
        dims = engine.sql("SELECT DISTINCT dim FROM facts WHERE NOT deleted ORDER BY dim").fetchall()
        if len(dims) != 1:
            found = f"dimensions {', '.join(str(dim) for (dim,) in dims)}" if dims else "no embeddings"
            raise TableError(f"encoder_id={encoder_id!r}: {found} in {table.table_uri}; an encoder has one dimension")
        schema = embeddings_schema(dims[0][0])
        engine.register("moment", pa.table({"at": pa.array([moment], pa.timestamp("us", tz="UTC"))}))
        engine.execute('CREATE VIEW labels AS SELECT DISTINCT image_id, moment."at" FROM facts CROSS JOIN moment')
        query = f"SELECT {', '.join(schema.names)} FROM ({point_in_time_sql(join, quote=chr(34))})"  # noqa: S608
        found = engine.sql(f"{query} WHERE item_id IS NOT NULL").to_arrow_reader(_ROWS_AT_ONCE)
        yield pa.RecordBatchReader.from_batches(schema, (_cast(batch, schema) for batch in found))


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([batch[field.name].cast(field.type) for field in schema], schema=schema)
