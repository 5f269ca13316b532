"""The embeddings that all processes share, in Redis, which may be slow, dead or full of other things."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from serve.breaker import Breaker, BreakerOpenError
from serve.cache.value import ForeignValueError, pack_embedding, unpack_embedding
from serve.observe.cache_metrics import CacheMetrics
from src.contracts.errors import ConfigError

__all__ = ["RemoteCache"]

_WAITING = 256
"""Embeddings that may wait to be written, 2.6 KB each at 1,280 numbers."""
_WRITE_SECONDS = 0.5


class RemoteCache:
    """Reads within a time budget, writes behind the answer's back."""

    def __init__(self, url: str, *, budget: float, ttl: int, breaker: Breaker, metrics: CacheMetrics) -> None:
        """Connect to nothing yet.

        Args:
            url: `redis://[user:password@]host:port/db`, `rediss://` with TLS, or `unix://`.
            budget: seconds that a lookup may take, connecting included.
            ttl: seconds that an embedding is kept after it was written.
            breaker: stops lookups and writes while Redis does not answer.
            metrics: where they are counted.

        Raises:
            ConfigError: the URL is none; its text, which may hold a password, is not repeated.
        """
        try:
            self._client = Redis.from_url(
                url,
                # A second try would cost a second budget; the next request is the second try.
                retry=Retry(NoBackoff(), 0),
                # Our own timeouts bound the whole of a call; a connection that is left in its middle is closed.
                socket_timeout=None,
                socket_connect_timeout=None,
                protocol=2,  # Spares a round trip at connecting.
            )
        except (ValueError, RedisError):
            raise ConfigError("`redis_url`: is no URL of a Redis server; write redis://HOST:PORT/0") from None
        self._budget = budget
        self._ttl = ttl
        self._breaker = breaker
        self._metrics = metrics
        self._queue: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue(_WAITING)
        metrics.waiting.set_function(self._queue.qsize)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what `put` is given; at the end, drop what waits and close the connections."""
        writer = asyncio.create_task(self._write())
        try:
            yield
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            await self._client.aclose()

    async def get(self, key: bytes) -> np.ndarray | None:
        """The embedding, float32 of shape (dim,); None where there is none or Redis does not give it in time."""
        outcome, vector = await self._look_up(key)
        self._metrics.lookups.labels("redis", outcome).inc()
        return vector

    def put(self, key: bytes, vector: np.ndarray) -> None:
        """Have an embedding written soon, or never: returns at once."""
        try:
            self._queue.put_nowait((key, pack_embedding(key, vector)))
        except asyncio.QueueFull:
            self._metrics.writes.labels("dropped").inc()

    async def _look_up(self, key: bytes) -> tuple[str, np.ndarray | None]:
        try:
            with self._breaker.call():
                async with asyncio.timeout(self._budget):
                    data = await self._read(key)
            return ("miss", None) if data is None else ("hit", unpack_embedding(key, data))
        except BreakerOpenError:
            return "skipped", None
        except ForeignValueError:
            return "foreign", None
        except Exception:  # Whatever it is, a search does not end on its cache; the breaker has counted it.
            return "error", None

    async def _read(self, key: bytes) -> object:
        try:
            return await self._client.get(key)
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return error  # Redis is well; somebody keeps a list where we keep an embedding.
            raise

    async def _write(self) -> None:
        while True:
            key, value = await self._queue.get()
            self._metrics.writes.labels(await self._stored(key, value)).inc()

    async def _stored(self, key: bytes, value: bytes) -> str:
        try:
            with self._breaker.call(spares=(ResponseError,)):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await self._client.set(key, value, ex=self._ttl)
        except BreakerOpenError:
            return "skipped"
        except ResponseError:  # No memory left, a read-only replica: it can still be read.
            return "refused"
        except Exception:
            return "error"
        return "stored"
