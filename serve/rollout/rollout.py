"""Putting another bundle in the place of the one that answers, while it answers."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from serve.live.items import LiveItems
from serve.observe.metrics import Metrics
from serve.rollout.current import Current, Replaced
from serve.rollout.freed_memory import give_back
from serve.rollout.opened import Opened
from src.contracts.bundle import read_bundle_id
from src.contracts.errors import BundleError, LookalikeError

__all__ = ["BusyError", "Place", "Rollout", "RolloutReport"]

_log = logging.getLogger("serve")


class BusyError(LookalikeError):
    """Another rollout is under way."""


@dataclass(frozen=True)
class Place:
    """Where a bundle was opened, links followed, and which it was."""

    path: Path
    bundle_id: str


@dataclass(frozen=True)
class RolloutReport:
    """A rollout that was taken.

    Attributes:
        bundle_id: what answers now.
        previous: what answered before, the same where nothing was to be done.
        checks: what was found before it was taken, in words.
        load_seconds: from the call until it answered.
        drain_seconds: from then until the old one was closed.
    """

    bundle_id: str
    previous: str
    checks: str
    load_seconds: float
    drain_seconds: float


class Rollout:
    """Rolls bundles out, one at a time. A failed one leaves everything as it is.

    Attributes:
        place: of the bundle that answers.
        previous: of the one before it; None at first.
        running: whether a rollout is under way.
        problem: why the last one failed; empty where it did not.
    """

    def __init__(
        self,
        *,
        current: Current,
        path: Path,
        open_path: Callable[[Path, float], Opened],
        metrics: Metrics,
        live: LiveItems | None = None,
    ) -> None:
        """Begin with what is served.

        Args:
            current: is given the new bundles.
            path: of the bundle that it holds.
            open_path: verifies, loads, warms up and checks a bundle; is given the time from which on changes are newer
                than the bundle; blocks.
            metrics: where rollouts are counted.
            live: the items that may be changed; None: none may.
        """
        with current.hold() as opened:
            self.place = Place(path.resolve(), opened.bundle_id)
        self.previous: Place | None = None
        self.running = False
        self.problem = ""
        self._current = current
        self._open = open_path
        self._metrics = metrics
        self._live = live
        self._stopping = False
        self._task: asyncio.Task[RolloutReport] | None = None

    async def to(self, path: Path, *, since: float = 0.0) -> RolloutReport:
        """Serve the bundle at a path.

        It is loaded aside and checked; requests that come after the swap get it, those before are answered from the old
        one, which is then closed. Until then both are in memory.

        Args:
            path: the bundle's folder.
            since: seconds since 1970; changes of items before it are in the bundle already, later ones are made in it.

        Raises:
            BusyError: another rollout is under way.
            LookalikeError: it cannot be served; the old one goes on.
        """
        return await self._one_at_a_time(path, None, since)

    async def back(self) -> RolloutReport:
        """Serve the bundle before this one again; two calls change nothing.

        Raises:
            BusyError: another rollout is under way.
            LookalikeError: there is none, it is gone, or its folder holds another one by now.
        """
        if self.previous is None:
            raise BundleError("there was no bundle before this one; name the one to serve")
        return await self._one_at_a_time(self.previous.path, self.previous.bundle_id, 0.0)

    async def stop(self) -> None:
        """Begin no more, and wait for the one under way: a thread that loads cannot be interrupted."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _one_at_a_time(self, path: Path, expected: str | None, since: float) -> RolloutReport:
        if self._stopping:
            raise BusyError("the service is stopping; ask the one that takes its place")
        if self.running:
            raise BusyError("another rollout is under way; wait for its end")
        self.running = True
        # A caller that leaves does not leave half a rollout behind.
        self._task = asyncio.create_task(self._watched(path, expected, since))
        return await asyncio.shield(self._task)

    async def _watched(self, path: Path, expected: str | None, since: float) -> RolloutReport:
        _log.info("rollout of %s: begins", path)
        try:
            report = await self._roll_out(path.resolve(), expected, since)
        except BaseException as error:
            self.problem = str(error) if isinstance(error, LookalikeError) else "an error of ours; the log has it"
            self._metrics.rollouts.labels("failed").inc()
            _log.error("rollout of %s: failed, %s goes on: %s", path, self.place.bundle_id[:12], error)
            raise
        finally:
            self.running = False
        self.problem = ""
        same = report.bundle_id == report.previous
        self._metrics.rollouts.labels("unchanged" if same else "taken").inc()
        _log.info(
            "rollout of %s: %s after %s; %s; loaded in %.2f s, old one drained in %.2f s",
            path, report.bundle_id[:12], report.previous[:12], report.checks, report.load_seconds, report.drain_seconds,
        )  # fmt: skip
        return report

    async def _roll_out(self, path: Path, expected: str | None, since: float) -> RolloutReport:
        started = time.perf_counter()
        old = self.place
        if await anyio.to_thread.run_sync(read_bundle_id, path) == old.bundle_id:
            self.place = Place(path, old.bundle_id)
            return RolloutReport(old.bundle_id, old.bundle_id, "served already", time.perf_counter() - started, 0.0)
        opened = await anyio.to_thread.run_sync(lambda: self._loaded(path, expected, since))
        try:
            async with self._live.handing_over(opened.engine) if self._live is not None else nullcontext():
                # From here to the block's end nothing waits: no change and no request comes between.
                replaced = self._current.swap(opened)
        except BaseException:
            opened.close()
            raise
        self.place, self.previous = Place(path, opened.bundle_id), old
        self._metrics.bundle.labels(opened.bundle_id).set(opened.description.images)
        swapped = time.perf_counter()
        await replaced.drained()
        self._metrics.bundle.remove(old.bundle_id)
        await anyio.to_thread.run_sync(_close, replaced)
        return RolloutReport(
            opened.bundle_id, old.bundle_id, opened.checks, swapped - started, time.perf_counter() - swapped
        )

    def _loaded(self, path: Path, expected: str | None, since: float) -> Opened:
        found = read_bundle_id(path)
        if expected not in (None, found):
            raise BundleError(f"bundle {path}: holds {found[:12]} by now, not {str(expected)[:12]}; name another")
        return self._open(path, since)


def _close(replaced: Replaced) -> None:
    opened = replaced.take()
    opened.close()
    del opened  # The last reference: only what is freed by now can be given back.
    gc.collect()
    give_back()
