"""What the routes share: made before the process listens, closed after it has drained."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from serve.breaker import Breaker
from serve.bundle.current import Current
from serve.bundle.opened import Opened, Shared
from serve.bundle.rollout import Rollout
from serve.cache.embedding_cache import EmbeddingCache
from serve.cache.redis_cache import RedisCache
from serve.edge.admission import Admission
from serve.metrics import Metrics
from serve.pipeline.threads import ThreadPools
from serve.settings import ServeSettings
from serve.store.store import Store
from src.contracts.errors import LookalikeError
from src.index.journal import Journal
from src.search.live_items import LiveItems

if TYPE_CHECKING:
    from src.search.shared_items import SharedStore

__all__ = ["Service"]

_log = logging.getLogger("serve")

_MIB = 1024 * 1024
_REPAIR_SECONDS = 2.0
_WRITES = 8
"""Changes of items in flight; each may hold a whole upload in memory."""


class Service:
    """The parts of one application.

    Attributes:
        ready: whether searches are answered.
        leaving: whether this process ends soon, and another one takes its connections.
        live: changes items; None where they stay as the bundle has them. It is set when `ready`, as is what follows.
        changes: changed items that replicas share; likewise.
    """

    live: LiveItems | None
    changes: "SharedStore | None"
    current: Current
    rollout: Rollout

    def __init__(self, bundle_path: Path, settings: ServeSettings) -> None:
        """Connect to nothing and load nothing yet; raises `ConfigError` for addresses that are none."""
        self._bundle_path = bundle_path
        self.settings = settings
        self.metrics = Metrics()
        self.ready = self.leaving = False
        self.live = self.changes = None
        limit = settings.max_in_flight
        self.admission = Admission(limit=limit, standing=settings.max_standing or limit, metrics=self.metrics)
        self.writes = Admission(limit=_WRITES, standing=_WRITES, metrics=self.metrics, what="changes")
        self.store, redis = None, None
        if settings.store_url is not None:
            self.store = Store(
                settings.store_url.get_secret_value(),
                budget=settings.store_budget_ms / 1000,
                breaker=Breaker(on_change=self.metrics.watch("store")),
                metrics=self.metrics,
            )
        if settings.redis_url is not None:
            redis = RedisCache(
                settings.redis_url.get_secret_value(),
                budget=settings.redis_budget_ms / 1000,
                ttl=settings.cache_ttl_seconds,
                breaker=Breaker(on_change=self.metrics.watch("redis")),
                metrics=self.metrics,
            )
        self._cache = EmbeddingCache(max_bytes=round(settings.cache_mib * _MIB), redis=redis, metrics=self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the bundle, be ready within the block, and clean up; raises `LookalikeError` where that fails."""
        async with AsyncExitStack() as stack:
            pools = ThreadPools(threads=self.settings.workers)
            stack.callback(pools.close)
            if self.store is not None:
                stack.push_async_callback(anyio.to_thread.run_sync, self.store.close)
            if self.settings.state is not None:
                journal = await anyio.to_thread.run_sync(Journal, self.settings.state)
                stack.callback(journal.close)
                freshness = self.metrics.freshness
                self.live = LiveItems(
                    journal=journal, on_change=lambda kind, seconds: freshness.labels(kind).observe(seconds)
                )
            self.changes = await anyio.to_thread.run_sync(self._open_changes)
            if self.changes is not None:
                stack.push_async_callback(anyio.to_thread.run_sync, self.changes.close)
            shared = Shared(self.settings, self.metrics, pools, self._cache, self.store, self.live, self.changes)
            await self._open_first(shared)
            stack.callback(self._close_last)
            stack.push_async_callback(self.rollout.stop)
            if self.changes is not None:
                repairing = asyncio.create_task(self._repair())
                stack.push_async_callback(_cancelled, repairing)
            await stack.enter_async_context(self._cache.running())
            self.ready = True
            try:
                yield
            finally:
                self.ready = False

    async def _open_first(self, shared: Shared) -> None:
        # A method of its own: a variable of `running` would keep the first bundle in memory to the end.
        opened = await anyio.to_thread.run_sync(Opened.open, self._bundle_path, shared)
        live = self.live
        if live is not None and opened.layer is not None:
            live.serve(opened.layer)
            self.metrics.changed_images.set_function(lambda: live.layer.changes.images)
        self.current = Current(opened)
        self.rollout = Rollout(
            current=self.current,
            path=self._bundle_path,
            open_path=lambda path, after: Opened.open(path, shared, beside=True, changes_after=after),
            metrics=self.metrics,
            live=live,
        )

    def _open_changes(self) -> "SharedStore | None":
        if self.settings.changes_url is None:
            return None
        from src.search.shared_items import SharedStore

        return SharedStore(self.settings.changes_url.get_secret_value())

    async def _repair(self) -> None:
        """Give Milvus what it lacks, whoever left it behind; every replica does."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * _REPAIR_SECONDS)  # noqa: S311 - not all at once
            try:
                with self.current.hold() as opened:
                    if opened.items is not None:
                        await anyio.to_thread.run_sync(opened.items.repair)
                if self.changes is not None:
                    self.metrics.changes_pending.set(await anyio.to_thread.run_sync(self.changes.changes.pending))
            except LookalikeError as error:
                _log.warning("changes of items wait: %s", error)

    def _close_last(self) -> None:
        with self.current.hold() as opened:
            opened.close()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
