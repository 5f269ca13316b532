"""The collection of a catalogue: which columns it has besides the items table's, and how its rows are made."""

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.errors import ConfigError
from src.index.coded_strings import is_string
from src.index.filter_columns import is_readable
from src.index.milvus_scan import SCAN_KEY
from src.index.vector_digest import vector_hashes

__all__ = [
    "BUNDLE_ID", "DERIVED", "ENCODER_ID", "LOADING", "MEASURED", "PREPROCESSING", "STATE", "WHOLE",
    "catalogue_attributes", "catalogue_rows", "derived", "from_json",
]  # fmt: skip

ENCODER_ID, PREPROCESSING, BUNDLE_ID = "lookalike.encoder_id", "lookalike.preprocessing", "lookalike.bundle_id"
STATE, MEASURED = "lookalike.state", "lookalike.measured"
"""Properties of a collection."""

LOADING, WHOLE = "loading", "whole"
"""Of `STATE`: what an export has not finished, and what it has."""

DERIVED = {"parent_key": pa.string(), "version": pa.int64(), "vector_hash": pa.int64()}
"""`parent_key` groups the items of a parent, and an item without one alone; `version` is that of the row's change, 0 as
exported; `vector_hash` is of `src.index.vector_digest`."""


def catalogue_attributes(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The columns that a collection has for an items table, with their types there.

    Raises:
        ConfigError: a column that can be filtered by has a name that Milvus has not, or that is kept for ours.
    """
    names = [field.name for field in schema if is_readable(field.type) and field.name not in ("image_id", "item_id")]
    taken = {*DERIVED, SCAN_KEY, "vector"}
    bad = [name for name in names if name in taken or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", name)]
    if bad:
        raise ConfigError(
            f"columns {', '.join(map(repr, bad))} of the items table: Milvus' names are letters, digits and "
            f"underscores, and {', '.join(sorted(taken))} are kept for others; rename them"
        )
    return {**{name: _kept_as(schema.field(name).type) for name in names}, **DERIVED}


def _kept_as(kind: pa.DataType) -> pa.DataType:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_string(kind):
        return pa.string()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.date32() if pa.types.is_date(kind) else kind


def catalogue_rows(table: pa.Table, vectors: np.ndarray, version: int = 0) -> dict[str, pa.Array]:
    """The attributes of some rows of an items table, as `MilvusIndex.upsert` takes them.

    Args:
        table: as `validate_items` returns it, or a slice of it.
        vectors: float32 array of shape (rows, dim).
        version: of all of them.
    """
    rows: dict[str, pa.Array] = {}
    for name, kind in catalogue_attributes(table.schema).items():
        if name in DERIVED:
            continue
        column = table[name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        rows[name] = column.cast(kind, safe=not pa.types.is_timestamp(kind))
    parents = table["parent_id"].to_pylist() if "parent_id" in table.column_names else [None] * len(table)
    keys = [_parent_key(*pair) for pair in zip(table["item_id"].to_pylist(), parents, strict=True)]
    rows["parent_key"] = pa.array(keys, pa.string())
    rows["version"] = pa.array([version] * len(table), pa.int64())
    rows["vector_hash"] = pa.array(vector_hashes(vectors))
    return rows


def derived(item_id: str, attributes: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Of a changed item: its `parent_key` and `version`."""
    return {"parent_key": _parent_key(item_id, attributes.get("parent_id")), "version": version}


def from_json(values: Sequence[Any], kind: pa.DataType) -> list[Any]:
    """Values as JSON has them (dates and times as ISO 8601) for a column of a type.

    Raises:
        ValueError: no date or time.
    """
    if pa.types.is_date(kind):
        return [datetime.date.fromisoformat(value) if isinstance(value, str) else value for value in values]
    if pa.types.is_timestamp(kind):
        return [datetime.datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
    return list(values)


def _parent_key(item_id: str, parent_id: str | None) -> str:
    # A parent and an item may have the same id.
    return f"item {item_id}" if parent_id is None else f"parent {parent_id}"
