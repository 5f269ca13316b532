"""Vectors as a column of a table has them: lists of numbers, or float16 values as bytes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.tables import unpack_vectors

__all__ = ["directions", "read_vector_column"]

_RANGE = np.finfo(np.float32)
_BLOCK = 8192
_SMALLEST, _LARGEST = 1e-15, 1e18
"""Norms whose squares are well within float32."""
_UNIT = 5e-7
"""Largest deviation from 1 of the norm of a normalised vector in float32."""


def read_vector_column(column: pa.ChunkedArray) -> np.ndarray:
    """Read a column of vectors.

    Args:
        column: lists of numbers, all of one length; or bytes, the values of an embeddings table: float16, the least
            significant byte first.

    Returns:
        float32 of shape (rows, dim). A vector of float64 that float32 cannot hold is divided by its largest value.

    Raises:
        ValueError: no rows, other values, null, or vectors of different lengths.
    """
    if not len(column):
        raise ValueError("it has no rows")
    if column.null_count:
        raise ValueError(f"null in column vector (row {pc.index(pc.is_null(column), pa.scalar(True)).as_py() + 1})")
    kind = column.type
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        width = _one_length(pc.binary_length(column))
        if width % 2:
            raise ValueError(f"{width} bytes in column vector are no float16 values of 2 bytes each")
        return unpack_vectors(column.cast(pa.binary(width)))
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise ValueError(f"column vector is {kind}, neither a list of numbers nor float16 as bytes")
    width = _one_length(pc.list_value_length(column))
    flat = pc.list_flatten(column)
    if flat.null_count:
        raise ValueError("null inside column vector")
    vectors = flat.to_numpy().reshape(len(column), width)
    if vectors.dtype == np.float64:
        # Only directions count.
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        beyond = np.isfinite(largest) & (largest > 0) & ((largest > _RANGE.max) | (largest < _RANGE.tiny))
        vectors = vectors / np.where(beyond, largest, 1)
    return vectors.astype(np.float32, copy=False)


def directions(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Divide vectors by their norms.

    Args:
        vectors: float32 of shape (rows, dim), of any length that float32 holds.

    Returns:
        Vectors of norm 1, contiguous, the array itself where all have norm 1 already; and the rows without a direction,
        which are zero or not finite.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = _norms(vectors)
    extreme = np.flatnonzero(~((norms > _SMALLEST) & (norms < _LARGEST)))
    if len(extreme):  # Their squares leave float32's range; divided by the largest value, they do not.
        largest = np.abs(vectors[extreme]).max(axis=1, keepdims=True, initial=0)
        usable = (largest > 0) & np.isfinite(largest)
        vectors = vectors.copy()
        vectors[extreme] = np.where(usable, vectors[extreme] / np.where(usable, largest, 1), np.nan)
        norms[extreme] = _norms(vectors[extreme])
    bad = np.flatnonzero(~np.isfinite(norms))
    if np.abs(norms - 1).max(initial=0) <= _UNIT:
        return vectors, bad
    return vectors / norms[:, None], bad


def _norms(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        blocks = (vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK))
        return np.concatenate([np.linalg.norm(block, axis=1) for block in blocks] or [np.ones(0, np.float32)])


def _one_length(lengths: pa.ChunkedArray) -> int:
    distinct = pc.unique(lengths).to_pylist()
    if len(distinct) != 1 or not distinct[0]:
        raise ValueError(f"vectors of different lengths or none: {sorted(distinct)[:5]}")
    return int(distinct[0])
