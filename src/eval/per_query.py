"""The table of queries: one row for each query, with its metrics and results. It is written beside metrics.json."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from src.contracts.atomic_file import atomic_file
from src.contracts.errors import TableError
from src.contracts.text_columns import text_column
from src.eval.embedded import Embedded
from src.eval.protocol import Protocol
from src.eval.query_groups import QUERY_IMAGES
from src.eval.ranking import Ranking
from src.eval.relevance import comparable

__all__ = ["about_queries", "per_query_table", "read_queries", "write_queries"]

log = logging.getLogger(__name__)

_KEY = b"lookalike"
_ROLES = ("split", "is_query", "is_gallery")


def per_query_table(
    queries: Embedded, gallery: Embedded, ranking: Ranking, values: Mapping[str, np.ndarray], protocol: Protocol
) -> pa.Table:
    """Make the table of queries, in the queries' order.

    Args:
        queries: the query images.
        gallery: the gallery images.
        ranking: of these queries.
        values: of `measure`: float64 of shape (queries,) each, NaN where the query has no positive.
        protocol: of the evaluation.

    Returns:
        `image_id`, `item_id`, `product` (the parent, or the item where there is none: the intervals' unit),
        `positives` (int64); a float64 column for each metric, named as in metrics.json, null where the query has no
        positive; `result_image_ids`, `result_item_ids`, `result_scores` (float32), `result_grades` (int8), lists of the
        best results; and the queries' attributes under their own names. The schema's metadata is read by
        `about_queries`.
    """
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "image_id": pa.array(queries.image_ids, pa.string()),
        "item_id": pa.array(queries.item_ids, pa.string()),
        "product": _products(queries),
        "positives": pa.array(ranking.positives, pa.int64()),
    }
    columns |= {name: pa.array(value, pa.float64(), mask=np.isnan(value)) for name, value in values.items()}
    columns |= _results(queries, gallery, ranking)
    if queries.attributes is not None:
        taken = {*columns, *_ROLES}
        kept = [field for field in queries.attributes.schema if field.name not in taken]
        columns |= {field.name: queries.attributes[field.name] for field in kept if _is_storable(field)}
    about = {
        "metrics": list(values),
        "fingerprint": _fingerprint(queries, gallery, protocol),
        "protocol": protocol.to_dict(),
    }
    return _with_about(pa.table(columns), about)


def write_queries(
    table: pa.Table, path: Path, *, name: str, split: str | None, method: str | None, seed: int | None
) -> None:
    """Write `queries.parquet` atomically, with a description of what was evaluated.

    Args:
        table: of `per_query_table`.
        path: the file to write.
        name: for titles.
        split: the split that was evaluated; None where there are no splits.
        method: the same for runs that differ in nothing but their seed; None where it is not known.
        seed: the training's; None where there was none.
    """
    about = {**about_queries(table), "name": name, "split": split, "method": method, "seed": seed}
    with atomic_file(path) as temporary:
        pq.write_table(_with_about(table, about), temporary)


def read_queries(path: Path) -> pa.Table:
    """Read what `write_queries` wrote.

    Raises:
        TableError: there is no such file, or it is not a table of queries.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path}: cannot be read as Parquet ({error}); evaluate.py writes queries.parquet") from error
    absent = {"image_id", "item_id", "product", "positives"} - {*table.column_names}
    if absent or _KEY not in (table.schema.metadata or {}):
        raise TableError(f"{path}: not a table of queries; evaluate.py writes queries.parquet")
    return table


def about_queries(table: pa.Table) -> dict[str, Any]:
    """The table's metadata.

    Returns:
        `metrics` (their columns), `fingerprint` (equal exactly where protocol, queries and gallery are the same, so
        that two tables can be compared row by row), `protocol`; and once written `name`, `split`, `method`, `seed`.
    """
    about: dict[str, Any] = json.loads(table.schema.metadata[_KEY])
    return about


def _with_about(table: pa.Table, about: Mapping[str, Any]) -> pa.Table:
    return table.replace_schema_metadata({_KEY: json.dumps(about)})


def _is_storable(field: pa.Field) -> bool:
    """Whether Parquet has the type; unions and calendar intervals it has not."""
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
    except pa.ArrowNotImplementedError:
        log.info("queries.parquet: without the column %s, since Parquet has no %s", field.name, field.type)
        return False
    return True


def _products(queries: Embedded) -> pa.Array | pa.ChunkedArray:
    items = pa.array(queries.item_ids, pa.string())
    parents = queries.attribute("parent_id")
    return items if parents is None else pc.coalesce(text_column(parents, is_id=False)[0], items)


def _results(queries: Embedded, gallery: Embedded, ranking: Ranking) -> dict[str, pa.Array]:
    found = ranking.top_rows >= 0
    rows = pa.array(ranking.top_rows[found])
    offsets = pa.array(np.r_[0, np.cumsum(found.sum(axis=1))].astype(np.int32))
    columns = {
        "result_image_ids": pa.array(gallery.image_ids, pa.string()).take(rows),
        "result_item_ids": pa.array(gallery.item_ids, pa.string()).take(rows),
        "result_scores": pa.array(ranking.top_scores[found], pa.float32()),
        "result_grades": pa.array(ranking.top_grades[found], pa.int8()),
    }
    return {name: pa.ListArray.from_arrays(offsets, values) for name, values in columns.items()}


def _fingerprint(queries: Embedded, gallery: Embedded, protocol: Protocol) -> str:
    """SHA-256 of protocol, queries (in order) and gallery (in any order), with the columns that the protocol uses."""
    digest = hashlib.sha256(json.dumps(protocol.to_dict(), sort_keys=True).encode())
    used = [protocol.exclude, *([protocol.merge_queries, QUERY_IMAGES] if protocol.merge_queries else [])]
    names = sorted({*protocol.grades, *filter(None, used)} - {"item_id"})
    for part, order in ((queries, np.arange(len(queries))), (gallery, np.argsort(gallery.image_ids.astype(str)))):
        columns = [pa.array(ids.astype(str), pa.large_string()) for ids in (part.image_ids, part.item_ids)]
        columns += [comparable(column, name) for name in names if (column := part.attribute(name)) is not None]
        for column in columns:
            _update(digest, column.take(pa.array(order)))
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", texts: pa.Array | pa.ChunkedArray) -> None:
    """Add a column: its length, nulls, string ends and characters, so that no two columns give the same bytes."""
    digest.update(len(texts).to_bytes(8, "little") + pc.is_null(texts).to_numpy(zero_copy_only=False).tobytes())
    filled = pc.fill_null(texts, pa.scalar(b"").cast(texts.type))
    digest.update(np.cumsum(pc.binary_length(filled).to_numpy(zero_copy_only=False)).tobytes())
    for chunk in filled.chunks if isinstance(filled, pa.ChunkedArray) else [filled]:
        _, ends, data = chunk.buffers()
        first, last = (np.frombuffer(ends, np.int64)[at] for at in (chunk.offset, chunk.offset + len(chunk)))
        digest.update(memoryview(data)[first:last] if data else b"")
