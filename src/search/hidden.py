"""A search that never finds some rows: changed and deleted items, or the item whose similar ones are wanted."""

import numpy as np

from src.index.protocol import Searchable

__all__ = ["Visible"]

_SPARE = 16


class Visible:
    """An index without some of its rows; see `Searchable`."""

    def __init__(self, index: Searchable, hidden: np.ndarray) -> None:
        """Hide rows.

        Args:
            index: what is searched.
            hidden: int64 of shape (n,), ascending, no row twice.
        """
        self._index = index
        self._hidden = hidden

    def __len__(self) -> int:
        """The number of vectors, hidden ones included."""
        return len(self._index)

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See `Searchable.search`.

        A mask of all rows costs more than a few results too many: without one, the index is searched for more rows,
        and hidden ones are dropped. The mask is made only where the hidden rows crowd round a query.
        """
        if allowed is not None:
            return self._index.search(vectors, k, self._without_hidden(allowed.copy()))
        if not len(self._hidden):
            return self._index.search(vectors, k)
        more = min(len(self._hidden), k + _SPARE)
        scores, rows = self._index.search(vectors, k + more)
        scores, rows = self._dropped(scores, rows, k)
        if more < len(self._hidden) and (rows < 0).any():
            return self._index.search(vectors, k, self._without_hidden(np.ones(len(self._index), bool)))
        return scores, rows

    def _without_hidden(self, allowed: np.ndarray) -> np.ndarray:
        allowed[self._hidden] = False
        return allowed

    def _dropped(self, scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The first k of each line that are not hidden, padded with -inf and -1."""
        places = np.minimum(np.searchsorted(self._hidden, rows), len(self._hidden) - 1)
        gone = (self._hidden[places] == rows) | (rows < 0)
        first = np.argsort(gone, axis=1, kind="stable")[:, :k]
        gone = np.take_along_axis(gone, first, 1)
        scores, rows = np.take_along_axis(scores, first, 1), np.take_along_axis(rows, first, 1)
        return np.where(gone, np.float32(-np.inf), scores), np.where(gone, -1, rows)
