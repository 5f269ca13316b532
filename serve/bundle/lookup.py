"""From an id to its rows."""

from bisect import bisect_left, bisect_right

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["IdLookup"]


class IdLookup:
    """Finds the rows of an id by binary search: 8 bytes a row, where a dictionary of Python strings takes over 100."""

    def __init__(self, ids: pa.Array) -> None:
        """Sort the ids.

        Args:
            ids: string array of shape (rows,), without nulls.
        """
        self._ids = ids
        self._order: np.ndarray = pc.sort_indices(ids).to_numpy().astype(np.int64)

    def rows(self, name: str) -> np.ndarray:
        """The rows of an id, int64 of shape (n,), ascending; none where the id is unknown."""
        # Arrow sorts by UTF-8 bytes and Python compares by code points: the two orders are the same.
        first = bisect_left(self._order, name, key=self._id)
        last = bisect_right(self._order, name, lo=first, key=self._id)
        return np.sort(self._order[first:last])

    def _id(self, row: int) -> str:
        value: str = self._ids[int(row)].as_py()
        return value
