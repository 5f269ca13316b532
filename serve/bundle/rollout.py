"""Exchanges the bundle while the service answers."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from serve.bundle.current import Current, Place
from serve.bundle.memory import give_back
from serve.bundle.opened import Opened
from serve.metrics import Metrics
from serve.schemas import RolledOut
from src.contracts.bundle import read_bundle_id
from src.contracts.errors import BundleError, LookalikeError
from src.search.live_items import LiveItems

__all__ = ["BusyError", "Rollout", "Source"]

_log = logging.getLogger("serve")


class BusyError(LookalikeError):
    """Another exchange is under way."""


class Source(NamedTuple):
    """Where a bundle was opened, with links resolved, and its id."""

    path: Path
    bundle_id: str


class Rollout:
    """Exchanges bundles, one at a time. An exchange that fails leaves everything as it is.

    Attributes:
        previous: of the bundle before; None at first.
        problem: why the last one failed; empty where it did not.
    """

    def __init__(
        self,
        *,
        current: Current,
        path: Path,
        open_path: Callable[[Path, int | None], Opened],
        metrics: Metrics,
        live: LiveItems | None,
    ) -> None:
        """Begin with the bundle at `path`, which `current` holds.

        `open_path` verifies, loads, warms and checks a bundle, given `changes_after`; it blocks.
        """
        with current.hold() as opened:
            self.source = Source(path.resolve(), opened.pipeline.bundle_id)
            metrics.bundle_images.labels(self.source.bundle_id).set(len(opened.searcher.gallery))
        self.previous: Source | None = None
        self.running = self._stopping = False
        self.problem = ""
        self._current = current
        self._open = open_path
        self._metrics = metrics
        self._live = live
        self._task: asyncio.Task[RolledOut] | None = None

    async def to(self, path: Path, *, changes_after: int | None = None) -> RolledOut:
        """Serve the bundle at a path.

        It is opened beside the other one and checked. Requests that start after the exchange get it; the old bundle is
        closed when the last request that holds it has been answered. Until then both are in memory. Its catalogue has
        the changes of items up to number `changes_after`; None: up to the one last given for it.

        Raises:
            BusyError: another exchange is under way.
            LookalikeError: it cannot be served; the old one goes on.
        """
        return await self._start(path, None, changes_after)

    async def back(self) -> RolledOut:
        """Serve the previous bundle again, from its folder; called twice, it changes nothing. Raises as `to`."""
        if self.previous is None:
            raise BundleError("there was no bundle before this one; name the one to serve")
        return await self._start(self.previous.path, self.previous.bundle_id, None)

    async def stop(self) -> None:
        """Start no more, and wait for the one under way: a thread that loads cannot be interrupted."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _start(self, path: Path, expected: str | None, changes_after: int | None) -> RolledOut:
        if self._stopping or self.running:
            raise BusyError("the service is stopping" if self._stopping else "another exchange is under way; wait")
        self.running = True
        # A task of its own: a caller that leaves does not stop the exchange half-way.
        self._task = asyncio.create_task(self._watched(path, expected, changes_after))
        return await asyncio.shield(self._task)

    async def _watched(self, path: Path, expected: str | None, changes_after: int | None) -> RolledOut:
        _log.info("exchange to %s: starts", path)
        try:
            report = await self._exchange(path.resolve(), expected, changes_after)
        except BaseException as error:
            self.problem = str(error) if isinstance(error, LookalikeError) else "an error of the service; see its log"
            self._metrics.rollouts.labels("failed").inc()
            _log.error("exchange to %s: failed, %s goes on: %s", path, self.source.bundle_id[:12], error)
            raise
        finally:
            self.running = False
        self.problem = ""
        self._metrics.rollouts.labels("unchanged" if report.bundle_id == report.previous else "taken").inc()
        _log.info("exchange to %s: %s", path, report)
        return report

    async def _exchange(self, path: Path, expected: str | None, changes_after: int | None) -> RolledOut:
        started = time.perf_counter()
        old = self.source
        found = await anyio.to_thread.run_sync(read_bundle_id, path)
        if expected not in (None, found):
            raise BundleError(f"bundle {path}: holds {found[:12]} by now, not {str(expected)[:12]}; name another")
        checks, loaded, drained = "served already", 0.0, 0.0
        if found != old.bundle_id:
            opened = await anyio.to_thread.run_sync(self._open, path, changes_after)
            checks, found = opened.checks, opened.pipeline.bundle_id
            replaced = await self._swap(opened)
            self.source, self.previous = Source(path, found), old
            self._metrics.bundle_images.labels(found).set(len(opened.searcher.gallery))
            breakers = {"encoder": opened.pipeline.embedder.breaker, "index": opened.pipeline.breaker}
            del opened
            loaded = time.perf_counter() - started
            await replaced.drained.wait()
            self._metrics.bundle_images.remove(old.bundle_id)
            for dependency, breaker in breakers.items():  # Those of the old bundle may have been open.
                self._metrics.breaker_state.labels(dependency).set(breaker.state)
            await anyio.to_thread.run_sync(_close, replaced)
            drained = time.perf_counter() - started - loaded
        self.source = Source(path, found)
        return RolledOut(
            bundle_id=found, previous=old.bundle_id, checks=checks, load_seconds=loaded, drain_seconds=drained
        )

    async def _swap(self, opened: Opened) -> Place:
        try:
            async with AsyncExitStack() as stack:
                if self._live is not None and opened.layer is not None:
                    await stack.enter_async_context(self._live.handing_over(opened.layer))
                # No await from here to the end of the block: no change and no request comes between.
                return self._current.swap(opened)
        except BaseException:
            opened.close()
            raise


def _close(replaced: Place) -> None:
    opened, replaced.opened = replaced.opened, None
    assert opened is not None
    opened.close()
    del opened  # The last reference: only memory that is free by now can be given back.
    gc.collect()
    give_back()
