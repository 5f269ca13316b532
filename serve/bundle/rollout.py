"""Exchanges the bundle while the service answers."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from serve.bundle.current import Current, Replaced
from serve.bundle.memory import give_back
from serve.bundle.opened import Opened
from serve.live.items import LiveItems
from serve.metrics import Metrics
from src.contracts.bundle import read_bundle_id
from src.contracts.errors import BundleError, LookalikeError

__all__ = ["BusyError", "Place", "Rollout", "RolloutReport"]

OpenPath = Callable[[Path, int | None], Opened]

_log = logging.getLogger("serve")


class BusyError(LookalikeError):
    """Another exchange is under way."""


class Place(NamedTuple):
    """Where a bundle was opened, with links resolved, and its id."""

    path: Path
    bundle_id: str


class RolloutReport(NamedTuple):
    """An exchange that succeeded.

    Attributes:
        bundle_id: of the bundle that answers now.
        previous: of the bundle that answered before; the same where nothing was to be done.
        checks: what was checked before, in words.
        load_seconds: from the call until the new bundle answered.
        drain_seconds: from then until the old bundle was closed.
    """

    bundle_id: str
    previous: str
    checks: str
    load_seconds: float
    drain_seconds: float


class Rollout:
    """Exchanges bundles, one at a time. An exchange that fails leaves everything as it is.

    Attributes:
        place: of the bundle that answers.
        previous: of the bundle before it; None at first.
        running: whether an exchange is under way.
        problem: why the last one failed; empty where it did not.
    """

    def __init__(
        self, *, current: Current, path: Path, open_path: OpenPath, metrics: Metrics, live: LiveItems | None
    ) -> None:
        """Begin with the bundle that is served.

        Args:
            current: gets the new bundles.
            path: of the bundle that it holds.
            open_path: verifies, loads, warms and checks a bundle, given `changes_after`; blocks.
            metrics: counts exchanges.
            live: the items that may be changed; None: none may.
        """
        with current.hold() as opened:
            self.place = Place(path.resolve(), opened.bundle_id)
            metrics.bundle_images.labels(opened.bundle_id).set(opened.description.images)
        self.previous: Place | None = None
        self.running = False
        self.problem = ""
        self._current = current
        self._open = open_path
        self._metrics = metrics
        self._live = live
        self._stopping = False
        self._task: asyncio.Task[RolloutReport] | None = None

    async def to(self, path: Path, *, changes_after: int | None = None) -> RolloutReport:
        """Serve the bundle at a path.

        It is opened beside the other one and checked. Requests that start after the exchange get it; the old bundle is
        closed when the last request that holds it has been answered. Until then both are in memory.

        Args:
            path: the bundle's folder.
            changes_after: the bundle's catalogue has the changes of items up to this number.

        Raises:
            BusyError: another exchange is under way.
            LookalikeError: it cannot be served; the old one goes on.
        """
        return await self._start(path, None, changes_after)

    async def back(self) -> RolloutReport:
        """Serve the previous bundle again, from its folder; called twice, it changes nothing.

        Raises:
            BusyError: another exchange is under way.
            LookalikeError: there is no previous one, or its folder is gone or holds another bundle by now.
        """
        if self.previous is None:
            raise BundleError("there was no bundle before this one; name the one to serve")
        return await self._start(self.previous.path, self.previous.bundle_id, None)

    async def stop(self) -> None:
        """Start no more, and wait for the one under way: a thread that loads cannot be interrupted."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _start(self, path: Path, expected: str | None, changes_after: int | None) -> RolloutReport:
        if self._stopping:
            raise BusyError("the service is stopping")
        if self.running:
            raise BusyError("another exchange is under way; wait for its end")
        self.running = True
        # A task of its own: a caller that leaves does not stop the exchange half-way.
        self._task = asyncio.create_task(self._watched(path, expected, changes_after))
        return await asyncio.shield(self._task)

    async def _watched(self, path: Path, expected: str | None, changes_after: int | None) -> RolloutReport:
        _log.info("exchange to %s: starts", path)
        try:
            report = await self._exchange(path.resolve(), expected, changes_after)
        except BaseException as error:
            self.problem = str(error) if isinstance(error, LookalikeError) else "an error of the service; see its log"
            self._metrics.rollouts.labels("failed").inc()
            _log.error("exchange to %s: failed, %s goes on: %s", path, self.place.bundle_id[:12], error)
            raise
        finally:
            self.running = False
        self.problem = ""
        self._metrics.rollouts.labels("unchanged" if report.bundle_id == report.previous else "taken").inc()
        _log.info(
            "exchange to %s: %s after %s; %s; loaded in %.2f s, the old one drained in %.2f s",
            path, report.bundle_id[:12], report.previous[:12], report.checks, report.load_seconds, report.drain_seconds,
        )  # fmt: skip
        return report

    async def _exchange(self, path: Path, expected: str | None, changes_after: int | None) -> RolloutReport:
        started = time.perf_counter()
        old = self.place
        found = await anyio.to_thread.run_sync(read_bundle_id, path)
        if expected not in (None, found):
            raise BundleError(f"bundle {path}: holds {found[:12]} by now, not {str(expected)[:12]}; name another")
        if found == old.bundle_id:
            self.place = Place(path, found)
            return RolloutReport(found, found, "served already", time.perf_counter() - started, 0.0)
        opened = await anyio.to_thread.run_sync(self._open, path, changes_after)
        try:
            async with self._handing_over(opened):
                # No await from here to the end of the block: no change and no request comes between.
                replaced = self._current.swap(opened)
        except BaseException:
            opened.close()
            raise
        self.place, self.previous = Place(path, opened.bundle_id), old
        self._metrics.bundle_images.labels(opened.bundle_id).set(opened.description.images)
        swapped = time.perf_counter()
        await replaced.drained.wait()
        self._metrics.bundle_images.remove(old.bundle_id)
        await anyio.to_thread.run_sync(_close, replaced)
        return RolloutReport(
            opened.bundle_id, old.bundle_id, opened.checks, swapped - started, time.perf_counter() - swapped
        )

    def _handing_over(self, opened: Opened) -> AbstractAsyncContextManager[None]:
        if self._live is None or opened.layer is None:
            return nullcontext()
        return self._live.handing_over(opened.layer)


def _close(replaced: Replaced) -> None:
    opened = replaced.take()
    opened.close()
    del opened  # The last reference: only memory that is free by now can be given back.
    gc.collect()
    give_back()
