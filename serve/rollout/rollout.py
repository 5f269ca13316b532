"""Putting another bundle in the place of the one that answers, while it answers."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from serve.observe.metrics import Metrics
from serve.rollout.checks import check_finds
from serve.rollout.current import Current
from serve.rollout.freed_memory import give_back
from serve.rollout.opened import Opened
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

    def __init__(self, *, current: Current, path: Path, open_path: Callable[[Path], Opened], metrics: Metrics) -> None:
        """Begin with what is served.

        Args:
            current: is given the new bundles.
            path: of the bundle that it holds.
            open_path: verifies, loads and warms up a bundle; blocks.
            metrics: where rollouts are counted.
        """
        with current.hold() as opened:
            self.place = Place(path.resolve(), opened.bundle_id)
        self.previous: Place | None = None
        self.running = False
        self.problem = ""
        self._current = current
        self._open = open_path
        self._metrics = metrics

    async def to(self, path: Path) -> RolloutReport:
        """Serve the bundle at a path.

        It is loaded aside and checked; requests that come after the swap get it, those before are answered from the old
        one, which is then closed. Until then both are in memory.

        Raises:
            BusyError: another rollout is under way.
            LookalikeError: it cannot be served; the old one goes on.
        """
        return await self._one_at_a_time(path, None)

    async def back(self) -> RolloutReport:
        """Serve the bundle before this one again; two calls change nothing.

        Raises:
            BusyError: another rollout is under way.
            LookalikeError: there is none, it is gone, or its folder holds another one by now.
        """
        if self.previous is None:
            raise BundleError("there was no bundle before this one; name the one to serve")
        return await self._one_at_a_time(self.previous.path, self.previous.bundle_id)

    async def _one_at_a_time(self, path: Path, expected: str | None) -> RolloutReport:
        if self.running:
            raise BusyError("another rollout is under way; wait for its end")
        self.running = True
        # A caller that leaves does not leave half a rollout behind.
        self._task = asyncio.create_task(self._watched(path, expected))
        return await asyncio.shield(self._task)

    async def _watched(self, path: Path, expected: str | None) -> RolloutReport:
        _log.info("rollout of %s: begins", path)
        try:
            report = await self._roll_out(path.resolve(), expected)
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

    async def _roll_out(self, path: Path, expected: str | None) -> RolloutReport:
        started = time.perf_counter()
        opened, checks = await anyio.to_thread.run_sync(lambda: self._loaded(path, expected))
        old = self.place
        if opened.bundle_id == old.bundle_id:
            opened.close()
            self.place = Place(path, old.bundle_id)
            return RolloutReport(old.bundle_id, old.bundle_id, "served already", time.perf_counter() - started, 0.0)
        self.place, self.previous = Place(path, opened.bundle_id), old
        self._metrics.bundle.labels(opened.bundle_id).set(opened.description.images)
        swapped = time.perf_counter()
        drained = await self._current.replace(opened)
        self._metrics.bundle.remove(old.bundle_id)
        await anyio.to_thread.run_sync(lambda: _close(drained))
        return RolloutReport(opened.bundle_id, old.bundle_id, checks, swapped - started, time.perf_counter() - swapped)

    def _loaded(self, path: Path, expected: str | None) -> tuple[Opened, str]:
        opened = self._open(path)
        try:
            if expected not in (None, opened.bundle_id):
                raise BundleError(
                    f"bundle {path}: holds {opened.bundle_id[:12]} by now, not {str(expected)[:12]}; name another"
                )
            return opened, check_finds(opened.engine)
        except BaseException:
            opened.close()
            raise


def _close(opened: Opened) -> None:
    opened.close()
    del opened
    gc.collect()
    give_back()
