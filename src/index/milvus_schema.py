"""The columns of a Milvus collection of images: which there may be, and how they are declared."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pymilvus import CollectionSchema, DataType, MilvusClient

from src.contracts.errors import ConfigError, LookalikeError
from src.index.milvus_columns import Attribute, is_keepable
from src.index.milvus_scan import SCAN_KEY

__all__ = ["COLUMNS", "KEYS", "check_columns", "collection_schema", "declared", "described_columns"]

COLUMNS = "lookalike.columns"
"""The property that says what the columns mean. Not their descriptions: milvus-lite keeps none."""

KEYS = {"image_id": pa.string(), "item_id": pa.string()}
"""The columns that every collection has."""

_OLDER = {
    DataType.VARCHAR: pa.string(),
    DataType.BOOL: pa.bool_(),
    DataType.INT64: pa.int64(),
    DataType.DOUBLE: pa.float64(),
}
"""Columns that nothing is said of."""
_KEY_BYTES = 512
_TEXT_BYTES = 65_535


def check_columns(collection: str, columns: Mapping[str, pa.DataType], partition_by: str) -> None:
    """Raise `ConfigError` for names and types that Milvus has not, or that are ours."""
    for name in (collection, *columns):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", name) or name == "vector":
            raise ConfigError(f"`{name}`: Milvus' names are letters, digits and underscores, and not `vector`")
    for name, kind in columns.items():
        if not is_keepable(kind):
            kinds = "string, bool, int64, double, float, halffloat, date32[day] or timestamp[us]"
            raise ConfigError(f"attribute {name} is {kind}; give {kinds}")
    if partition_by and columns.get(partition_by) != pa.string():
        raise ConfigError(f"`partition_by={partition_by}`: name an attribute of strings")


def declared(columns: Mapping[str, pa.DataType], *, partition_by: str, nulls: bool) -> list[Attribute]:
    """Columns as a collection gets them.

    Args:
        columns: names and types, as `check_columns` lets pass.
        partition_by: the column of the partition key, whose nulls are coded always; empty for none.
        nulls: whether the server has nulls; where not, they are coded.
    """
    never = {*KEYS, SCAN_KEY}
    return [
        Attribute(name, kind, name not in never, name == partition_by or not (nulls or name in never))
        for name, kind in columns.items()
    ]


def collection_schema(
    client: MilvusClient, attributes: Sequence[Attribute], *, dim: int, partition_by: str
) -> tuple[CollectionSchema, str]:
    """What `create_collection` is given: the columns and `vector` of `dim` dimensions, and the property `COLUMNS`."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    for attribute in attributes:
        key = not attribute.nullable or attribute.name == partition_by
        length = {"max_length": _KEY_BYTES if key else _TEXT_BYTES} if attribute.type == pa.string() else {}
        schema.add_field(
            attribute.name,
            _kept_as(attribute),
            is_primary=attribute.name == "image_id",
            is_partition_key=attribute.name == partition_by,
            **length,
            **({"nullable": True} if attribute.nullable and not attribute.coded else {}),
        )
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    return schema, json.dumps({attribute.name: attribute.description for attribute in attributes})


def _kept_as(attribute: Attribute) -> DataType:
    if pa.types.is_boolean(attribute.type):
        return DataType.INT8 if attribute.coded else DataType.BOOL
    if pa.types.is_string(attribute.type):
        return DataType.VARCHAR
    return DataType.DOUBLE if attribute.is_number else DataType.INT64


def described_columns(collection: str, said: Mapping[str, Any]) -> tuple[int, dict[str, Attribute]]:
    """The dimension and the columns of a collection, from what `describe_collection` says.

    Raises:
        LookalikeError: the collection is none of ours.
    """
    described = {field["name"]: field for field in said["fields"]}
    meanings = json.loads((said.get("properties") or {}).get(COLUMNS, "{}"))
    vector = described.pop("vector", None)
    columns: dict[str, Attribute] = {}
    for name, field in described.items():
        nullable = bool(field.get("nullable"))
        found = Attribute.described(name, meanings.get(name, ""), nullable)
        if found is None and field["type"] in _OLDER:
            found = Attribute(name, _OLDER[field["type"]], nullable)
        if found is not None:
            columns[name] = found
    if vector is None or len(columns) < len(described) or not KEYS.keys() <= described.keys():
        raise LookalikeError(f"collection `{collection}` was not made by MilvusIndex.create; name another")
    return int(vector["params"]["dim"]), columns
