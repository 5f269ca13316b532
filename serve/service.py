"""What the routes share: made before the process listens, closed after it has drained."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread

from serve.access.access import Access
from serve.cache.embedding_cache import TwoLevelCache
from serve.live.items import LiveItems
from serve.live.journal import Journal
from serve.observe.metrics import Metrics
from serve.path.workers import Workers
from serve.peers import Peers
from serve.rollout.current import Current
from serve.rollout.opened import Opened
from serve.rollout.rollout import BusyError, Rollout
from serve.settings import ServeSettings
from serve.store.filling import kept_filled
from serve.store.store import Store
from src.contracts.bundle import Bundle
from src.contracts.errors import ConfigError, LookalikeError

__all__ = ["Service"]

_KEYS_READ_EVERY = 1.0
"""Seconds."""

_log = logging.getLogger("serve")


@dataclass
class Service:
    """The parts of one application.

    Attributes:
        bundle_path: the bundle's folder.
        settings: its limits.
        peers: the other processes of the service; None: there are none.
        metrics: what it counts.
        ready: whether searches are answered.
        access: who may ask.
        current: the opened bundle that answers; set when `ready`.
        items: changes items; None where they stay as the bundle has them.
        store: what the shop knows of its items now.
        rollout: puts another in its place; set when `ready`.
    """

    bundle_path: Path
    settings: ServeSettings
    peers: Peers | None = None
    metrics: Metrics = field(default_factory=Metrics)
    ready: bool = False
    access: Access = field(init=False, repr=False)
    store: Store = field(init=False, repr=False)
    current: Current = field(init=False, repr=False)
    items: LiveItems | None = field(init=False, default=None, repr=False)
    rollout: Rollout = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read keys and addresses: what is wrong with them is said before anything is loaded."""
        self.access = Access(self.settings)
        self._cache = TwoLevelCache.of(self.settings, self.metrics)
        self.store = Store.of(self.settings, self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the bundle, be ready, clean up.

        Raises:
            LookalikeError: the bundle cannot be served.
        """
        workers = Workers(threads=self.settings.workers)
        try:
            self.items = self._live_items()
            await self._begin(workers)
            self.ready = True
            try:
                async with (
                    self._cache.running(),
                    kept_filled(self.store, self._served),
                    _repeating(self._reload_keys, seconds=_KEYS_READ_EVERY),
                ):
                    yield
            finally:
                self.ready = False
                await self.rollout.stop()
                with self.current.hold() as opened:
                    opened.close()
        finally:
            workers.close()
            if self.items is not None:
                self.items.close()
            await anyio.to_thread.run_sync(self.store.close)

    async def _begin(self, workers: Workers) -> None:
        """Open the first bundle. Here, since what `running` has in a variable is in memory until the service ends."""
        journal = None if self.items is None else self.items.journal

        def open_path(path: Path, since: float, *, beside: bool = True) -> Opened:
            return Opened.open(
                path,
                settings=self.settings,
                workers=workers,
                metrics=self.metrics,
                cache=self._cache,
                journal=journal,
                since=since,
                beside=beside,
                store=self.store,
            )

        opened = await anyio.to_thread.run_sync(lambda: open_path(self.bundle_path, 0.0, beside=False))
        self.current = Current(opened)
        if self.items is not None:
            self.items.serve(opened.engine)
        self.rollout = Rollout(
            current=self.current,
            path=self.bundle_path,
            open_path=open_path,
            metrics=self.metrics,
            live=self.items,
        )
        self.metrics.bundle.labels(opened.bundle_id).set(opened.description.images)

    def _live_items(self) -> LiveItems | None:
        if self.settings.state is None:
            return None
        return LiveItems(journal=Journal(self.settings.state / "journal.sqlite"), metrics=self.metrics)

    async def reopen(self) -> None:
        """Serve what is at the bundle's path by now, for instance where it is a link to somewhere else."""
        try:
            await self.rollout.to(self.settings.bundle or self.bundle_path)
            if self.peers is not None:
                self.peers.remember(self.rollout.place.path)
        except BusyError as error:
            _log.error("%s", error)
        except LookalikeError:
            pass  # The rollout has logged it.

    def _served(self) -> Bundle:
        with self.current.hold() as opened:
            return opened.engine.bundle

    def _reload_keys(self) -> None:
        try:
            if self.access.reload():
                _log.info("keys were read again")
        except ConfigError as error:
            _log.error("keys stay as they were: %s", error)


@asynccontextmanager
async def _repeating(work: Callable[[], None], *, seconds: float) -> AsyncIterator[None]:
    """Do something on a thread now and then while the block runs."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            await anyio.to_thread.run_sync(work)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
