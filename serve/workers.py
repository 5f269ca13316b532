"""Granian's server, whose worker processes are replaced only by ones that are ready."""

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import granian._signals
from granian._granian import WorkerSignal
from granian.server.mp import MPServer, WorkerProcess

__all__ = ["LEAVE", "REFUSED", "RollingServer", "mark_ready", "stop_on_first_signal"]

REFUSED = "refused"
"""File in the run folder: a worker has said why it cannot serve."""
LEAVE = signal.SIGUSR1
"""Tells a worker that it will end: its answers close their connections, so that none is lost when it does."""
_LEAVING_SECONDS = 1.0
_POLL_SECONDS = 0.02

_log = logging.getLogger("serve")


def mark_ready(run_folder: Path) -> None:
    """In a worker process: tell the parent that it answers."""
    (run_folder / f"ready-{os.getpid()}").touch()


def stop_on_first_signal() -> None:
    """In a worker: stop on the first SIGTERM, ignore others and Ctrl-C; a second signal would block Granian 2.8."""

    def set_loop_signals(loop: asyncio.AbstractEventLoop) -> WorkerSignal:
        stopped = WorkerSignal()
        first = iter([stopped.set])
        loop.add_signal_handler(signal.SIGTERM, lambda: [stop() for stop in first])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return stopped

    granian._signals.set_loop_signals = set_loop_signals


class RollingServer(MPServer):
    """On SIGHUP, Granian ends each worker seconds after the start of its successor, whether that can serve or not.

    Here the old worker goes on until the new one is ready, and where the new one ends, the old ones stay.
    """

    def __init__(self, *, run_folder: Path, **options: Any) -> None:
        """Take a folder that the processes share, and what `MPServer` takes."""
        super().__init__("serve.app", **options)  # The name is for its log.
        self._run_folder = run_folder

    def _respawn_workers(self, workers: Any, spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        for index in workers:
            if (self._run_folder / REFUSED).exists():  # The worker before this one could not start, nor would the next.
                self.shutdown(2)  # type: ignore[no-untyped-call]
            if not self.wrks[index].is_alive():
                super()._respawn_workers([index], spawn_target, target_loader)
            elif not self._replace(index, self._spawn_worker(index, spawn_target, target_loader)):
                return

    def _replace(self, index: int, new: WorkerProcess) -> bool:
        """Start a worker in the place of another one; whether it took over."""
        new.interrupt_by_parent = True  # Its end is noticed here.
        new.start()
        ready = self._run_folder / f"ready-{new._id()}"
        while not ready.exists() and new.is_alive() and not self.interrupt_signal:
            time.sleep(_POLL_SECONDS)
        if not ready.exists():
            self._end(new)
            (self._run_folder / REFUSED).unlink(missing_ok=True)
            _log.error("restart: the new process cannot serve; the old ones go on")
            return False
        ready.unlink()
        new.interrupt_by_parent = False
        old, self.wrks[index] = self.wrks[index], new
        with suppress(ProcessLookupError):
            os.kill(old._id(), LEAVE)
        time.sleep(_LEAVING_SECONDS)
        self._end(old)
        return True

    def _stop_workers(self) -> None:
        self._end(*self.wrks)
        self.wrks.clear()

    def _end(self, *workers: WorkerProcess) -> None:
        for worker in workers:
            worker.terminate()
        deadline = time.monotonic() + (self.workers_kill_timeout or 0)
        for worker in workers:
            # A thread of Granian's takes the exit status; until then `is_alive` is true of an ended process.
            if not wait([worker.inner.sentinel], max(0.0, deadline - time.monotonic())):
                _log.warning("a process did not end within %d s of SIGTERM: killed", self.workers_kill_timeout)
                worker.kill()
            worker.join()
