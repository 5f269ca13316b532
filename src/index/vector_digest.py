"""Digests that are equal where the same rows are, wherever and in whatever order they are kept.

A row's hash is 128 bits of BLAKE2b over its image_id, version and vector hash; a digest is the sum of its rows' hashes
modulo 2^128, and their number. A sum, not XOR: a row that stands twice does not cancel out.

A vector's hash is made of the float32 numbers that were given to the index, to the bit, when it is written. An index
that keeps float16 or 8 bits could not give them back: so the hash is kept beside the vector, in a bundle in
`vector_hashes.npy` and in a collection in the column `vector_hash`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Digest", "vector_hash", "vector_hashes"]

_MODULUS = 2**128


def vector_hash(vector: np.ndarray) -> int:
    """64 bits of BLAKE2b over a vector's float32 numbers, little-endian; as a signed integer, which Milvus keeps.

    Not rounded: one bit of one dimension gives another hash.
    """
    data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def vector_hashes(vectors: np.ndarray) -> np.ndarray:
    """`vector_hash` of each row: int64 of shape (rows,)."""
    return np.fromiter((vector_hash(vector) for vector in vectors), np.int64, len(vectors))


@dataclass
class Digest:
    """Rows by category.

    Attributes:
        rows: how many rows a category has; None is the category of rows without one.
        sums: the sum of their hashes.
    """

    rows: dict[str | None, int] = field(default_factory=dict)
    sums: dict[str | None, int] = field(default_factory=dict)

    def add(self, rows: Iterable[tuple[str | None, str, int, int]]) -> None:
        """Take in rows: category, image_id, version, vector hash."""
        for category, image_id, version, hashed in rows:
            data = b"%d %d %s" % (version, hashed, image_id.encode())
            value = int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "little")
            self.rows[category] = self.rows.get(category, 0) + 1
            self.sums[category] = (self.sums.get(category, 0) + value) % _MODULUS

    @property
    def total(self) -> str:
        """Of all rows whatever their category: 32 hex digits."""
        return f"{sum(self.sums.values()) % _MODULUS:032x}"

    @property
    def count(self) -> int:
        """All rows."""
        return sum(self.rows.values())

    def different(self, other: "Digest") -> list[str | None]:
        """The categories in which the two differ, those without a category first."""
        names = sorted({*self.rows, *other.rows}, key=lambda name: (name is not None, name or ""))
        return [
            name
            for name in names
            if (self.rows.get(name), self.sums.get(name)) != (other.rows.get(name), other.sums.get(name))
        ]
