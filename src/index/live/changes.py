"""Upserts and deletes, and their bytes in the log: Arrow record batches, never a pickle."""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.errors import BundleError, TableError

__all__ = [
    "Change",
    "DeleteImages",
    "DeleteItems",
    "Upsert",
    "checked_keys",
    "decode_changes",
    "encode_changes",
    "make_upsert",
]

_RECORD = struct.Struct("<BI")
_KEYS = pa.schema([pa.field("key", pa.string(), nullable=False)])


@dataclass(frozen=True)
class Upsert:
    """Images that are added, or replaced where their image_id is known.

    Attributes:
        rows: record batch with `image_id`, `item_id` and the attributes; no image_id stands twice.
        vectors: float32 array of shape (rows, dim), L2-normalised.
    """

    rows: pa.RecordBatch
    vectors: np.ndarray


@dataclass(frozen=True)
class DeleteImages:
    """Images that are no longer found."""

    image_ids: list[str]


@dataclass(frozen=True)
class DeleteItems:
    """Items of which no image is found any longer."""

    item_ids: list[str]


Change = Upsert | DeleteImages | DeleteItems
_KINDS: tuple[type, ...] = (Upsert, DeleteImages, DeleteItems)


def make_upsert(
    schema: pa.Schema,
    dim: int,
    image_ids: Sequence[str],
    item_ids: Sequence[str],
    vectors: np.ndarray,
    attributes: Mapping[str, Sequence[Any]] | None,
) -> Upsert:
    """A checked upsert. Of an image_id that stands twice, the later row counts.

    Args:
        schema: of the rows: `image_id`, `item_id` and the attributes.
        dim: numbers in a vector.
        image_ids: n keys.
        item_ids: n items.
        vectors: array of shape (n, dim), L2-normalised.
        attributes: columns of n values; those that are left out are null.

    Raises:
        TableError: lengths, names or types that do not fit, or vectors that are not finite or not normalised.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.shape != (len(image_ids), dim):
        raise TableError(
            f"vectors have shape {vectors.shape}; {len(image_ids)} image_ids need ({len(image_ids)}, {dim})"
        )
    norms = np.linalg.norm(vectors, axis=1)
    # Written so that NaN is refused as well.
    bad = np.flatnonzero(~(np.abs(norms - 1) <= 1e-3))
    if len(bad):
        raise TableError(
            f"vector {bad[0]} (image_id {image_ids[bad[0]]}) has norm {norms[bad[0]]:.4g}; "
            "vectors are finite and L2-normalised to 1e-3"
        )
    columns: dict[str, Sequence[Any]] = {"image_id": image_ids, "item_id": item_ids, **(attributes or {})}
    unknown = sorted(set(columns) - set(schema.names))
    if unknown:
        raise TableError(f"columns {', '.join(unknown)} are not in this index; it has {', '.join(schema.names)}")
    arrays = [_column(field, columns.get(field.name), len(image_ids)) for field in schema]
    rows = pa.record_batch(arrays, schema=schema)
    # As Arrow has them: bytes and strings of one spelling are one key.
    last = sorted({key: place for place, key in enumerate(rows.column("image_id").to_pylist())}.values())
    if len(last) < len(image_ids):
        return Upsert(rows.take(pa.array(last)), vectors[last])
    return Upsert(rows, vectors)


def checked_keys(keys: Sequence[str]) -> list[str]:
    """Keys to delete, as strings: what is none must not get into the log, where every later opening would meet it.

    Raises:
        TableError: a key that is no string, or one string instead of several.
    """
    if isinstance(keys, str | bytes):
        raise TableError(f"keys are {keys!r}, a single string; give a list of them")
    checked: list[str] = _column(_KEYS.field("key"), list(keys), len(keys)).to_pylist()
    return checked


def _column(field: pa.Field, values: Sequence[Any] | None, length: int) -> pa.Array:
    if values is None:
        values = [None] * length
    if len(values) != length:
        raise TableError(f"column {field.name} has {len(values)} values for {length} image_ids")
    try:
        array = pa.array(values, type=field.type)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise TableError(f"column {field.name} must be {field.type}: {error}") from None
    if array.null_count and not field.nullable:
        raise TableError(f"column {field.name} has {array.null_count} nulls; it must be given for each row")
    return array


def encode_changes(changes: Iterable[Change]) -> bytes:
    """The payload of one frame."""
    parts = []
    for change in changes:
        if isinstance(change, Upsert):
            width = 4 * change.vectors.shape[1]
            vectors = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(width), len(change.vectors), [None, pa.py_buffer(change.vectors)]
            )
            batch = change.rows.append_column(_vector_field(change.vectors.shape[1]), vectors)
        else:
            keys = change.image_ids if isinstance(change, DeleteImages) else change.item_ids
            batch = pa.record_batch([pa.array(keys, pa.string())], schema=_KEYS)
        body = batch.serialize().to_pybytes()
        parts += [_RECORD.pack(_KINDS.index(type(change)), len(body)), body]
    return b"".join(parts)


def decode_changes(payload: bytes, schema: pa.Schema, dim: int) -> Iterator[Change]:
    """The changes of one frame.

    Raises:
        BundleError: the payload is of another index, or of another version.
    """
    offset = 0
    while offset < len(payload):
        kind, length = _RECORD.unpack_from(payload, offset)
        offset += _RECORD.size
        body = pa.py_buffer(payload[offset : offset + length])
        offset += length
        try:
            if kind == 0:
                batch = pa.ipc.read_record_batch(body, schema.append(_vector_field(dim)))
                stored = batch.column(len(schema))
                vectors = np.frombuffer(stored.buffers()[1], np.float32, count=len(batch) * dim).reshape(-1, dim)
                yield Upsert(batch.select(schema.names), vectors)
            else:
                yield _KINDS[kind](pa.ipc.read_record_batch(body, _KEYS).column(0).to_pylist())
        except (pa.ArrowException, IndexError) as error:
            raise BundleError(
                f"a log frame does not fit the index ({error}); was it copied from another one?"
            ) from None


def _vector_field(dim: int) -> pa.Field:
    return pa.field("_vector", pa.binary(4 * dim), nullable=False)
