"""The rows of main index and delta as one space: main rows first, then the delta's in the order they came.

Arrays only grow at their end and a row dies once, at the number of the change that replaced or deleted it. A snapshot
of change s reads the first rows of the arrays and counts a row as alive that dies later than s: a writer that goes on
appending and marking can't change what it sees, and nothing has to be copied or locked for it.
"""

import numpy as np
import pyarrow as pa

__all__ = ["ALIVE", "Delta"]

ALIVE = np.iinfo(np.int64).max
"""Change at which a row dies that has not died."""

_FIRST_CAPACITY = 1024


class Delta:
    """The delta's vectors and rows, and what changes about the main rows. One thread writes.

    Attributes:
        died_at: int64 array of shape (main + capacity,), the change at which a row died, or ALIVE.
        item_of_row: int64 array of the same shape, the number of each row's item.
        vectors: float32 array of shape (capacity, dim).
        rows: rows in the delta, dead ones included.
        chunks: the delta's rows as record batches, each at most half as long as the one before it.
    """

    def __init__(self, main_items: np.ndarray, dim: int) -> None:
        self.main = len(main_items)
        self.rows = 0
        self.vectors = np.empty((_FIRST_CAPACITY, dim), np.float32)
        self.died_at = np.full(self.main + _FIRST_CAPACITY, ALIVE)
        self.item_of_row = np.concatenate([main_items, np.zeros(_FIRST_CAPACITY, np.int64)])
        self.chunks: tuple[pa.RecordBatch, ...] = ()

    def append(self, vectors: np.ndarray, items: np.ndarray, rows: pa.RecordBatch) -> None:
        """Add rows behind the last."""
        end = self.rows + len(vectors)
        if end > len(self.vectors):
            self._grow(max(end, 2 * len(self.vectors)))
        self.vectors[self.rows : end] = vectors
        self.item_of_row[self.main + self.rows : self.main + end] = items
        self.rows = end
        chunks = [*self.chunks, rows]
        while len(chunks) > 1 and 2 * len(chunks[-1]) > len(chunks[-2]):
            chunks[-2:] = [pa.concat_batches(chunks[-2:])]
        self.chunks = tuple(chunks)

    def _grow(self, capacity: int) -> None:
        # Snapshots keep the old arrays. Later deaths are not marked there; they would not count them anyway.
        rows = self.main + self.rows
        vectors = np.empty((capacity, self.vectors.shape[1]), np.float32)
        vectors[: self.rows] = self.vectors[: self.rows]
        died_at = np.full(self.main + capacity, ALIVE)
        died_at[:rows] = self.died_at[:rows]
        item_of_row = np.zeros(self.main + capacity, np.int64)
        item_of_row[:rows] = self.item_of_row[:rows]
        self.vectors, self.died_at, self.item_of_row = vectors, died_at, item_of_row
