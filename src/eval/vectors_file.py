"""Read embeddings that another program made from a Parquet file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from src.contracts.errors import TableError
from src.contracts.plain_columns import plain_table
from src.contracts.tables import ITEMS
from src.contracts.text_columns import text_column
from src.eval.embedded import Embedded

__all__ = ["read_vectors"]

_REQUIRED = ("image_id", "item_id", "is_query", "is_gallery", "vector")


def read_vectors(path: Path) -> tuple[Embedded, Embedded]:
    """Read queries and gallery.

    Args:
        path: Parquet with the columns `image_id`, `item_id` (strings or whole numbers), `is_query`, `is_gallery` (bool)
            and `vector` (list of float, all of one length); further columns become attributes.

    Returns:
        The queries and the gallery; an image may be in both.

    Raises:
        TableError: the file cannot be read, or its columns are not as described.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"`embeddings={path}`: cannot be read as Parquet ({error})") from error
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise TableError(f"`embeddings={path}`: column {', '.join(repeated)} is repeated; rename or remove one")
    absent = [name for name in _REQUIRED if name not in table.column_names]
    if absent:
        raise TableError(
            f"`embeddings={path}`: no column {', '.join(absent)}; it needs {', '.join(_REQUIRED)} and has "
            f"{', '.join(table.column_names)}"
        )
    vectors = _matrix(table["vector"], path)
    table = _texts(plain_table(table.drop_columns(["vector"])), path)
    empty = [f"{name} (row {_first_null(table[name]) + 1})" for name in _REQUIRED[:-1] if table[name].null_count]
    if empty:
        raise TableError(f"`embeddings={path}`: null, NaN or empty in column {', '.join(empty)}")
    image_ids, item_ids = (np.asarray(table[name].to_pylist(), dtype=object) for name in _REQUIRED[:2])
    if len(set(image_ids)) < len(image_ids):
        raise TableError(f"`embeddings={path}`: image_id must be unique, since a query's own image is removed by it")
    embedded = Embedded(vectors, image_ids, item_ids, table)
    parts = []
    for role in ("is_query", "is_gallery"):
        rows = np.flatnonzero(_cast(table, role, pa.bool_(), path).to_numpy())
        parts.append(embedded.take(rows))
    return parts[0], parts[1]


def _texts(table: pa.Table, path: Path) -> pa.Table:
    """The table with ids and names as strings, and NaN among the roles as null."""
    problems = []
    for name in {field.name for field in ITEMS if pa.types.is_string(field.type)} & {*table.column_names}:
        try:
            column, bad = text_column(table[name], is_id=name.endswith("_id"))
        except ValueError as error:
            raise TableError(f"`embeddings={path}`: column {name} {error}") from error
        problems += [f"row {row + 1}: {name}={what}" for row, what in bad]
        table = table.set_column(table.column_names.index(name), name, column)
    if problems:
        raise TableError(f"`embeddings={path}`: " + "; ".join(sorted(problems)[:20]))
    for name in ("is_query", "is_gallery"):
        if pa.types.is_floating(table[name].type):
            known = pc.if_else(pc.is_nan(table[name]), None, table[name])
            table = table.set_column(table.column_names.index(name), name, known)
    return table


def _first_null(column: pa.ChunkedArray) -> int:
    return int(pc.index(pc.is_null(column), pa.scalar(True)).as_py())


def _cast(table: pa.Table, name: str, kind: pa.DataType, path: Path) -> pa.ChunkedArray:
    try:
        return table[name].cast(kind)
    except pa.ArrowException as error:
        raise TableError(f"`embeddings={path}`: column {name} is {table[name].type}, not {kind} ({error})") from error


def _matrix(column: pa.ChunkedArray, path: Path) -> np.ndarray:
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise TableError(f"`embeddings={path}`: column vector is {kind}, not a list of float")
    if not len(column):
        raise TableError(f"`embeddings={path}`: it has no rows")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if None in lengths:
        raise TableError(f"`embeddings={path}`: null in column vector (row {_first_null(column) + 1})")
    if len(lengths) != 1:
        raise TableError(f"`embeddings={path}`: vectors of different lengths: {sorted(lengths)[:5]}")
    flat = pc.list_flatten(column).cast(pa.float32())
    if flat.null_count:
        raise TableError(f"`embeddings={path}`: null inside column vector")
    return flat.to_numpy().reshape(len(column), lengths[0])
