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
from src.contracts.vector_column import read_vector_column
from src.eval.embedded import Embedded

__all__ = ["read_vectors"]

_ROLES = ("is_query", "is_gallery")
_REQUIRED = ("image_id", "item_id", "vector")


def read_vectors(path: Path) -> tuple[Embedded, Embedded]:
    """Read queries and gallery.

    Args:
        path: Parquet with the columns `image_id`, `item_id` (strings or whole numbers), `vector` (list of float, all of
            one length, or float16 values as bytes, least significant first, as an embeddings table has them), and
            `is_query`, `is_gallery` (bool); further columns become attributes. Without both roles, each image is
            searched for among all others, and a line says so.

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
    without_role = [name for name in _ROLES if name not in table.column_names]
    absent += without_role if len(without_role) == 1 else []
    if absent:
        raise TableError(
            f"`embeddings={path}`: no column {', '.join(absent)}; it needs {', '.join(_REQUIRED)}, "
            f"{', '.join(_ROLES)} and has {', '.join(table.column_names)}"
        )
    if without_role:
        print(f"embeddings: {path} has no is_query and is_gallery: each image is searched for among all others")
        for name in _ROLES:
            table = table.append_column(name, pa.array(np.ones(table.num_rows, bool)))
    _one_encoder(table, path)
    try:
        vectors = read_vector_column(table["vector"])
    except ValueError as error:
        raise TableError(f"`embeddings={path}`: {error}") from error
    table = _texts(plain_table(table.drop_columns(["vector"])), path)
    ids = (*_REQUIRED[:2], *_ROLES)
    empty = [f"{name} (row {_first_null(table[name]) + 1})" for name in ids if table[name].null_count]
    if empty:
        raise TableError(f"`embeddings={path}`: null, NaN or empty in column {', '.join(empty)}")
    image_ids, item_ids = (np.asarray(table[name].to_pylist(), dtype=object) for name in _REQUIRED[:2])
    if len(set(image_ids)) < len(image_ids):
        raise TableError(f"`embeddings={path}`: image_id must be unique, since a query's own image is removed by it")
    embedded = Embedded(vectors, image_ids, item_ids, table)
    parts = []
    for role in _ROLES:
        rows = np.flatnonzero(_cast(table, role, pa.bool_(), path).to_numpy())
        parts.append(embedded.take(rows))
    return parts[0], parts[1]


def _one_encoder(table: pa.Table, path: Path) -> None:
    """Refuse vectors of several encoders, which have no common space."""
    encoders = pc.unique(table["encoder_id"]).to_pylist() if "encoder_id" in table.column_names else []
    if len(encoders) > 1:
        names = ", ".join(map(str, encoders[:5]))
        raise TableError(
            f"`embeddings={path}`: vectors of {len(encoders)} encoders ({names}), which cannot be compared; keep one "
            "encoder_id"
        )


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
    for name in _ROLES:
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
