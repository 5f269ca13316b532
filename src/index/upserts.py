"""Checks of what is written to an index by key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.errors import TableError

__all__ = ["Upsert", "checked_keys", "make_upsert"]


@dataclass(frozen=True)
class Upsert:
    """Images that are added, or replaced where their image_id is known.

    Attributes:
        rows: record batch with `image_id`, `item_id` and the attributes; no image_id stands twice.
        vectors: float32 array of shape (rows, dim), L2-normalised.
    """

    rows: pa.RecordBatch
    vectors: np.ndarray


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
    """Keys to delete, as strings.

    Raises:
        TableError: a key that is no string, or one string instead of several.
    """
    if isinstance(keys, str | bytes):
        raise TableError(f"keys are {keys!r}, a single string; give a list of them")
    checked: list[str] = _column(pa.field("key", pa.string(), nullable=False), list(keys), len(keys)).to_pylist()
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
