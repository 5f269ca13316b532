"""The two levels as one."""

from contextlib import AbstractAsyncContextManager, nullcontext

import numpy as np

from serve.breaker import Breaker
from serve.cache.local import LocalCache
from serve.cache.remote import RemoteCache
from serve.observe.cache_metrics import CacheMetrics
from serve.observe.metrics import Metrics
from serve.settings import ServeSettings

__all__ = ["TwoLevelCache"]

_MIB = 1024 * 1024


class TwoLevelCache:
    """Asks the process, then Redis; what Redis knew is kept in the process."""

    def __init__(self, *, local: LocalCache, remote: RemoteCache | None, metrics: CacheMetrics) -> None:
        """Put the levels together.

        Args:
            local: the first level.
            remote: the second; None is a cache of one level.
            metrics: where lookups in the process are counted.
        """
        self._local = local
        self._remote = remote
        self._metrics = metrics
        metrics.local_bytes.set_function(lambda: local.bytes)
        metrics.local_entries.set_function(lambda: len(local))

    @classmethod
    def of(cls, settings: ServeSettings, metrics: Metrics) -> "TwoLevelCache":
        """The cache that an operator has asked for.

        Raises:
            ConfigError: `redis_url` is none.
        """
        remote = None
        if settings.redis_url is not None:
            remote = RemoteCache(
                settings.redis_url.get_secret_value(),
                budget=settings.redis_budget_ms / 1000,
                ttl=settings.cache_ttl_seconds,
                breaker=Breaker(on_change=metrics.breakers.watch("redis")),
                metrics=metrics.cache,
            )
        local = LocalCache(max_bytes=round(settings.cache_mib * _MIB))
        return cls(local=local, remote=remote, metrics=metrics.cache)

    def running(self) -> AbstractAsyncContextManager[None]:
        """The time in which it may be used."""
        return nullcontext() if self._remote is None else self._remote.running()

    async def get(self, key: bytes) -> np.ndarray | None:
        """The embedding, float32 of shape (dim,), normalised; None where neither level has it in time."""
        vector = self._local.get(key)
        self._metrics.lookups.labels("local", "miss" if vector is None else "hit").inc()
        if vector is None and self._remote is not None:
            vector = await self._remote.get(key)
            if vector is not None:
                self._local.put(key, vector)
        return vector

    async def put(self, key: bytes, vector: np.ndarray) -> None:
        """Keep an embedding, float32 of shape (dim,), normalised. Waits for nothing."""
        self._local.put(key, vector)
        if self._remote is not None:
            self._remote.put(key, vector)
