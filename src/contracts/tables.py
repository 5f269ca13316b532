"""The tables that stages exchange, as Arrow schemas, and their validation."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import TableError
from src.contracts.plain_columns import plain_column
from src.contracts.text_columns import text_column

__all__ = [
    "DOMAINS",
    "EVENTS",
    "INTERACTIONS",
    "ITEMS",
    "SPLITS",
    "conform",
    "embeddings_schema",
    "pack_vectors",
    "unpack_vectors",
    "validate_interactions",
    "validate_items",
]

_UTC = pa.timestamp("us", tz="UTC")

DOMAINS = ("catalogue", "user")
EVENTS = ("impression", "click", "cart", "purchase")
SPLITS = ("train", "val", "test", "all", "held_out", "none")
"""`all` belongs to the three before it, `held_out` to validation and test, `none` to no split."""

ITEMS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("parent_id", pa.string()),
        pa.field("image", pa.string(), nullable=False),
        pa.field("domain", pa.string()),
        pa.field("category", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("color", pa.string()),
        pa.field("price", pa.float64()),
        pa.field("in_stock", pa.bool_()),
        pa.field("listed_at", _UTC),
    ]
)
"""One row is one image of one item (the SKU). What is absent is null; further columns are kept (slices use them)."""

INTERACTIONS = pa.schema(
    [
        pa.field("event_at", _UTC, nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("query_image_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("event", pa.string(), nullable=False),
        pa.field("variant", pa.string()),
    ]
)
"""One row is one event on one result; `rank` counts from 1, `variant` is the arm of an A/B test."""


def embeddings_schema(dim: int) -> pa.Schema:
    """The embeddings table for vectors of `dim` numbers.

    Vectors are fixed-size binary (little-endian float16 x dim) because Spark cannot read Parquet's FLOAT16 and DuckDB
    cannot scan it.
    """
    return pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("encoder_id", pa.string(), nullable=False),
            pa.field("content_hash", pa.string(), nullable=False),
            pa.field("event_at", _UTC),
            pa.field("created_at", _UTC, nullable=False),
            pa.field("dim", pa.int32(), nullable=False),
            pa.field("vector", pa.binary(2 * dim), nullable=False),
            pa.field("norm", pa.float32(), nullable=False),
        ]
    )


def pack_vectors(vectors: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Float vectors as the embeddings table stores them.

    Args:
        vectors: float array of shape (rows, dim).

    Returns:
        Fixed-size binary array of `rows` values, 2 * dim bytes each, little-endian float16.
    """
    rows, dim = vectors.shape
    data = np.ascontiguousarray(vectors, dtype="<f2").tobytes()
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * dim), rows, [None, pa.py_buffer(data)])


def unpack_vectors(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """The inverse of `pack_vectors`: float32 array of shape (rows, dim)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    dim = array.type.byte_width // 2
    flat = np.frombuffer(array.buffers()[1], dtype="<f2")[array.offset * dim : (array.offset + len(array)) * dim]
    return flat.reshape(len(array), dim).astype(np.float32)


def validate_items(table: pa.Table) -> pa.Table:
    """Bring a table to the items schema.

    Args:
        table: any table that has at least `image_id`, `item_id` and `image`.

    Returns:
        The same rows with the columns of `ITEMS` first (absent ones null), the table's further columns after them.

    Raises:
        TableError: a required column is missing or null, a column has another type, `image_id` repeats, a domain or
            split is unknown, or one item stands under two parents. The message lists all of these.
    """
    table, problems = conform(table, ITEMS)
    problems += _repeated(table, "image_id")
    problems += _outside(table, "domain", DOMAINS)
    problems += _outside(table, "split", SPLITS)
    problems += _many_parents(table)
    if problems:
        raise TableError("items table: " + "; ".join(problems))
    return table


def validate_interactions(table: pa.Table) -> pa.Table:
    """Bring a table to the interactions schema; raises `TableError` as `validate_items` does."""
    table, problems = conform(table, INTERACTIONS)
    problems += _outside(table, "event", EVENTS)
    lowest = pc.min(table["rank"]).as_py() if "rank" in table.column_names else None
    if lowest is not None and lowest < 1:
        problems.append(f"rank={lowest}: ranks count from 1")
    if problems:
        raise TableError("interactions table: " + "; ".join(problems))
    return table


def conform(table: pa.Table, schema: pa.Schema) -> tuple[pa.Table, list[str]]:
    """The columns that keep the schema, then the table's further ones; and what is wrong with the others."""
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    problems = []
    for field in schema:
        if field.name not in table.column_names:
            if not field.nullable:
                problems.append(f"column {field.name!r} is missing; it is required")
            columns[field.name] = pa.nulls(table.num_rows, field.type)
            continue
        try:
            column, wrong = _cast(table[field.name], field)
        except (ValueError, pa.ArrowException) as error:
            problems.append(f"column {field.name!r} is {table[field.name].type}, not {field.type}: {error}")
            continue
        columns[field.name] = column
        problems += wrong
        if not field.nullable and column.null_count:
            row = pc.index(pc.is_null(column), pa.scalar(True)).as_py()
            problems.append(f"column {field.name!r} is null in {column.null_count} row(s), first in row {row + 1}")
    columns |= {name: table[name] for name in table.column_names if name not in schema.names}
    return pa.table(columns), problems


def _cast(column: pa.ChunkedArray, field: pa.Field) -> tuple[pa.ChunkedArray, list[str]]:
    """A column in the type of a field, and what is wrong in it; raises `ValueError` or Arrow's own errors."""
    plain = plain_column(column)
    # Strings stay as they are: whether an empty one is missing is decided where a catalogue is read.
    if pa.types.is_string(field.type) and not (pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type)):
        text, bad = text_column(column, is_id=field.name.endswith("_id"))
        return text, [f"row {row + 1}: {field.name}={what}" for row, what in bad]
    # Nanoseconds are cut off.
    return plain.cast(field.type, safe=not (pa.types.is_timestamp(plain.type) and plain.type.unit == "ns")), []


def _repeated(table: pa.Table, name: str) -> list[str]:
    if name not in table.column_names:
        return []
    counts = pc.value_counts(table[name].drop_null().combine_chunks())
    values = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    return [f"{name} must be unique; {len(values)} repeat, the first is {values[0]!r}"] if values else []


def _outside(table: pa.Table, name: str, allowed: Iterable[str]) -> list[str]:
    if name not in table.column_names:
        return []
    unknown = sorted(set(pc.unique(table[name].cast(pa.string())).to_pylist()) - {*allowed, None})
    return [f"{name}={value!r} is none of {', '.join(allowed)}" for value in unknown]


def _many_parents(table: pa.Table) -> list[str]:
    if not {"item_id", "parent_id"} <= {*table.column_names}:
        return []
    pairs = table.select(["item_id", "parent_id"]).filter(pc.is_valid(table["item_id"]))
    pairs = pairs.group_by("item_id").aggregate([("parent_id", "count_distinct")])
    items = pairs.filter(pc.greater(pairs["parent_id_count_distinct"], 1))["item_id"].to_pylist()
    return [f"item {items[0]!r} stands under more than one parent_id ({len(items)} such item(s))"] if items else []
