"""The level of the embedding cache that processes share: Redis, which may be slow, dead or full of other data."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from serve.breaker import Breaker, BreakerOpenError
from serve.cache.stored_embedding import pack_embedding, unpack_embedding
from serve.metrics import Metrics
from src.contracts.errors import ConfigError

__all__ = ["RedisCache"]

_QUEUE = 256
"""Embeddings that may wait to be written, 2.6 KB each at 1,280 dimensions."""
_WRITE_SECONDS = 0.5


class RedisCache:
    """Reads within a time budget, and writes after the answer."""

    def __init__(self, url: str, *, budget: float, ttl: int, breaker: Breaker, metrics: Metrics) -> None:
        """Connect to nothing yet; `budget` is the seconds of a lookup, connecting included, `ttl` those of an entry.

        Raises `ConfigError` for what is no URL of Redis, without repeating it: it may hold a password.
        """
        try:
            self._client = Redis.from_url(
                url,
                # A retry would cost a second budget.
                retry=Retry(NoBackoff(), 0),
                # Our own timeouts bound a call as a whole; a connection that is left in mid-call is closed.
                socket_timeout=None,
                socket_connect_timeout=None,
                protocol=2,  # Saves a round trip when connecting.
            )
        except (ValueError, RedisError):
            raise ConfigError("LOOKALIKE_REDIS_URL: must be redis://HOST:PORT/0") from None
        self._budget = budget
        self._ttl = ttl
        self._breaker = breaker
        self._metrics = metrics
        self._queue: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue(_QUEUE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write queued embeddings within the block; at its end, drop the queue and close the connections."""
        writer = asyncio.create_task(self._write())
        try:
            yield
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            await self._client.aclose()

    async def get(self, key: bytes) -> np.ndarray | None:
        """The embedding, float32 of shape (dim,); None where Redis has none or is late."""
        vector = None
        try:
            with self._breaker.call():
                async with asyncio.timeout(self._budget):
                    data = await self._read(key)
            vector = unpack_embedding(key, data)
            outcome = "miss" if data is None else "foreign" if vector is None else "hit"
        except BreakerOpenError:
            outcome = "skipped"
        except Exception:  # A search never fails for its cache; the breaker has counted the error.
            outcome = "error"
        self._metrics.cache_lookups.labels("redis", outcome).inc()
        return vector

    def put(self, key: bytes, vector: np.ndarray) -> None:
        """Queue an embedding for writing; a full queue drops it. Returns at once."""
        try:
            self._queue.put_nowait((key, pack_embedding(key, vector)))
        except asyncio.QueueFull:
            self._metrics.cache_writes.labels("dropped").inc()

    async def _read(self, key: bytes) -> object:
        try:
            return await self._client.get(key)
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return error  # Redis works, but another program keeps a list or a set under this key.
            raise

    async def _write(self) -> None:
        while True:
            key, value = await self._queue.get()
            outcome = "stored"
            try:
                with self._breaker.call(spares=(ResponseError,)):
                    async with asyncio.timeout(_WRITE_SECONDS):
                        await self._client.set(key, value, ex=self._ttl)
            except BreakerOpenError:
                outcome = "skipped"
            except ResponseError:  # Out of memory, or a read-only replica: it can still be read.
                outcome = "refused"
            except Exception:
                outcome = "error"
            self._metrics.cache_writes.labels(outcome).inc()
