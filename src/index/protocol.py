"""What every vector index can do."""

from pathlib import Path
from typing import Protocol

import numpy as np

__all__ = ["Searchable", "VectorIndex"]


class Searchable(Protocol):
    """Cosine search over L2-normalised vectors; a vector's name is its row."""

    def __len__(self) -> int:
        """The number of vectors."""
        ...

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows of each query.

        Args:
            vectors: float32 array of shape (queries, dim), L2-normalised.
            k: rows wanted.
            allowed: bool array of shape (len(self),); only rows that are True are found.

        Returns:
            Cosine similarities, float32 of shape (queries, k), descending, and rows, int64 of the same shape. Where
            fewer than k rows are found, the rest is -inf and -1.
        """
        ...


class VectorIndex(Searchable, Protocol):
    """What can be searched, and written to a file."""

    def save(self, path: Path) -> None:
        """Write the index to one file."""
        ...
