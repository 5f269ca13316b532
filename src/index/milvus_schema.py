"""The columns of a Milvus collection of images: which there may be, and how Milvus keeps them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
from pymilvus import CollectionSchema, DataType, MilvusClient

from src.contracts.errors import ConfigError, LookalikeError

__all__ = ["KEYS", "check_columns", "collection_schema", "described_schema"]

KEYS = {"image_id": pa.string(), "item_id": pa.string()}
"""The columns that every collection has."""

_TYPES = {
    DataType.VARCHAR: pa.string(),
    DataType.BOOL: pa.bool_(),
    DataType.INT64: pa.int64(),
    DataType.DOUBLE: pa.float64(),
}
_KEY_BYTES = 512


def check_columns(collection: str, columns: Mapping[str, pa.DataType], partition_by: str) -> None:
    """Raise `ConfigError` for names and types that Milvus has not, or that are ours."""
    for name in (collection, *columns):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", name) or name == "vector":
            raise ConfigError(f"`{name}`: Milvus' names are letters, digits and underscores, and not `vector`")
    for name, kind in columns.items():
        if kind not in _TYPES.values():
            kinds = ", ".join(str(known) for known in _TYPES.values())
            raise ConfigError(f"attribute {name} is {kind}; give {kinds}")
    if partition_by and columns.get(partition_by) != pa.string():
        raise ConfigError(f"`partition_by={partition_by}`: name an attribute of strings")


def collection_schema(
    client: MilvusClient, columns: Mapping[str, pa.DataType], *, dim: int, partition_by: str
) -> CollectionSchema:
    """What `create_collection` is given: the columns, and `vector` of `dim` numbers."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    kinds = {pa_kind: milvus_kind for milvus_kind, pa_kind in _TYPES.items()}
    for name, column in columns.items():
        key = name in KEYS or name == partition_by
        length = {"max_length": _KEY_BYTES} if column == pa.string() else {}
        schema.add_field(
            name,
            kinds[column],
            is_primary=name == "image_id",
            is_partition_key=name == partition_by,
            **length,
            **({} if key else {"nullable": True}),
        )
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    return schema


def described_schema(collection: str, fields: Iterable[Mapping[str, Any]]) -> tuple[int, pa.Schema]:
    """What `collection_schema` was made of, from what `describe_collection` says: numbers in a vector, and the columns.

    Raises:
        LookalikeError: the collection is none of ours.
    """
    described = {field["name"]: field for field in fields}
    vector = described.pop("vector", None)
    odd = [name for name, field in described.items() if field["type"] not in _TYPES]
    if vector is None or odd or not KEYS.keys() <= described.keys():
        raise LookalikeError(f"collection `{collection}` was not made by MilvusIndex.create; name another")
    columns = [pa.field(name, _TYPES[field["type"]], bool(field.get("nullable"))) for name, field in described.items()]
    return int(vector["params"]["dim"]), pa.schema(columns)
