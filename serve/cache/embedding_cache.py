"""The embedding cache: in the process, then in Redis, which processes share."""

from contextlib import AbstractAsyncContextManager, nullcontext

import numpy as np
from cachetools import LRUCache

from serve.cache.redis_cache import RedisCache
from serve.metrics import Metrics

__all__ = ["EmbeddingCache"]

_OVERHEAD = 500
"""Bytes of an entry beside its vector: key, object heads and the dictionary's slot."""


class EmbeddingCache:
    """Looks in the process, then in Redis; keeps in the process what Redis had. The event loop's thread calls it."""

    def __init__(self, *, max_bytes: int, redis: RedisCache | None, metrics: Metrics) -> None:
        """Start empty; at `max_bytes` in the process, the least recently used entries leave."""
        self._local: LRUCache[bytes, np.ndarray] = LRUCache(max_bytes, getsizeof=_size)
        self._redis = redis
        self._metrics = metrics

    def running(self) -> AbstractAsyncContextManager[None]:
        """The time in which the cache may be used."""
        return nullcontext() if self._redis is None else self._redis.running()

    async def get(self, key: bytes) -> np.ndarray | None:
        """The embedding, float32 of shape (dim,), read-only; None where no level has it in time."""
        vector = self._local.get(key)
        self._metrics.cache_lookups.labels("local", "miss" if vector is None else "hit").inc()
        if vector is None and self._redis is not None:
            vector = await self._redis.get(key)
            if vector is not None:
                self._keep(key, vector)
        return vector

    def put(self, key: bytes, vector: np.ndarray) -> None:
        """Keep an embedding, float32 of shape (dim,), L2-normalised; Redis gets it later."""
        self._keep(key, vector)
        if self._redis is not None:
            self._redis.put(key, vector)

    def _keep(self, key: bytes, vector: np.ndarray) -> None:
        kept = np.array(vector, dtype=np.float32)  # A view would keep its whole batch in memory.
        kept.setflags(write=False)
        if _size(kept) <= self._local.maxsize:
            self._local[key] = kept
            self._metrics.cache_bytes.set(self._local.currsize)


def _size(vector: np.ndarray) -> int:
    return vector.nbytes + _OVERHEAD
