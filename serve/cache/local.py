"""The embeddings that were asked for last, in the process."""

from collections import OrderedDict

import numpy as np

__all__ = ["LocalCache"]

_OVERHEAD = 400
"""Bytes that an entry takes beside its key and numbers: the objects' heads and the dictionary's slot."""


class LocalCache:
    """Least recently used go first once `max_bytes` are full. Not thread-safe: the event loop's thread calls it."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> np.ndarray | None:
        """The embedding, float32 of shape (dim,), read-only; None where there is none."""
        vector = self._entries.get(key)
        if vector is not None:
            self._entries.move_to_end(key)
        return vector

    def put(self, key: bytes, vector: np.ndarray) -> None:
        """Keep an embedding; one that is larger than the whole cache is not kept."""
        kept = np.array(vector, dtype=np.float32)  # A view would keep the whole batch alive that it is a row of.
        kept.setflags(write=False)
        self._drop(key)
        size = _size(key, kept)
        if size > self._max_bytes:
            return
        while self.bytes + size > self._max_bytes:
            self._drop(next(iter(self._entries)))
        self._entries[key] = kept
        self.bytes += size

    def _drop(self, key: bytes) -> None:
        vector = self._entries.pop(key, None)
        if vector is not None:
            self.bytes -= _size(key, vector)


def _size(key: bytes, vector: np.ndarray) -> int:
    return len(key) + vector.nbytes + _OVERHEAD
