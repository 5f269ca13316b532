"""What a vector's hash is: the same wherever the same vector was written."""

import hashlib

import numpy as np

__all__ = ["vector_hash", "vector_hashes"]


def vector_hash(vector: np.ndarray) -> int:
    """64 bits of BLAKE2b over a vector's float32 numbers, little-endian; as a signed integer, which Milvus keeps.

    Not rounded: one bit of one dimension gives another hash.
    """
    data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def vector_hashes(vectors: np.ndarray) -> np.ndarray:
    """`vector_hash` of each row: int64 of shape (rows,)."""
    return np.fromiter((vector_hash(vector) for vector in vectors), np.int64, len(vectors))
