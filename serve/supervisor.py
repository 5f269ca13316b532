"""Several processes on one port: a parent that starts workers, starts them again, and ends with them."""

import asyncio
import logging
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

from serve.peers import WORKER

__all__ = ["supervise"]

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
"""Seconds before a worker is started again: doubled each time that it ends within a minute."""
_LIVED = 60.0
_GRACE = 10
"""Seconds beside the drain until a worker that does not end is killed."""

_log = logging.getLogger("serve")


async def supervise(arguments: Sequence[str], port: int, *, processes: int, drain_seconds: int) -> int:
    """Run workers until SIGTERM or SIGINT; SIGHUP goes to all of them.

    Each worker listens on a socket of its own once it has loaded, and the kernel deals new connections out among them.
    On a socket for all, whoever wakes first takes all that are waiting: of 16 connections that were opened together
    one worker of two had every one.

    Args:
        arguments: the command line of each worker.
        port: that they share; the caller keeps it taken.
        processes: how many.
        drain_seconds: time that running requests have.

    Returns:
        The exit code: 0 after a signal, that of the first worker where it cannot start.
    """
    with tempfile.TemporaryDirectory(prefix="lookalike-") as folder:
        return await _Supervisor(arguments, port, folder, drain_seconds).run(processes)


class _Supervisor:
    def __init__(self, arguments: Sequence[str], port: int, folder: str, drain_seconds: int) -> None:
        self._arguments = arguments
        self._port = port
        self._folder = folder
        self._drain_seconds = drain_seconds
        self._workers: dict[int, Process] = {}
        self._stopping = asyncio.Event()

    async def run(self, processes: int) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._signal, signal.SIGHUP)
        # The first alone: what cannot be served is said once.
        ready = [loop.create_future() for _ in range(processes)]
        kept = [asyncio.create_task(self._keep(0, ready[0]))]
        url = await self._or_stopped(ready[0])
        code = 0
        if isinstance(url, int):
            code = url
            self._stopping.set()
        elif url is not None:
            kept += [asyncio.create_task(self._keep(number, ready[number])) for number in range(1, processes)]
            await self._or_stopped(asyncio.gather(*ready[1:]))
            if not self._stopping.is_set():
                print(f"Lookalike is ready at {url} with {processes} processes", flush=True)
        await self._stopping.wait()
        await self._stop(kept)
        return code

    async def _or_stopped(self, future: "asyncio.Future[str | int] | asyncio.Future[list[str | int]]") -> object:
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([future, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        return future.result() if future.done() else None

    async def _keep(self, number: int, ready: "asyncio.Future[str | int]") -> None:
        """Start a worker, and again when it ends; `ready` gets its URL, or the exit code where it never was."""
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            started = time.monotonic()
            worker = await self._started(number)
            assert worker.stdout is not None
            while line := (await worker.stdout.readline()).decode():
                if not ready.done() and "ready at " in line:
                    ready.set_result(line.split("ready at ")[1].strip())
            code = await worker.wait()
            if self._stopping.is_set():
                return
            if not ready.done() and number == 0:
                ready.set_result(code if code > 0 else 1)
                return
            if time.monotonic() - started > _LIVED:
                wait = _FIRST_WAIT
            _log.error("worker %d ended (%d); it starts again in %.1f s", number, code, wait)
            await asyncio.wait([asyncio.create_task(self._stopping.wait())], timeout=wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _started(self, number: int) -> Process:
        self._workers[number] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "serve", *self._arguments,
            env={**os.environ, WORKER: f"{self._port}:{number}:{self._folder}"},
            stdin=PIPE,  # Held open as long as we live.
            stdout=PIPE,
        )  # fmt: skip
        if self._stopping.is_set():
            self._workers[number].terminate()
        return self._workers[number]

    def _signal(self, number: int) -> None:
        for worker in self._workers.values():
            if worker.returncode is None:
                worker.send_signal(number)

    async def _stop(self, kept: "list[asyncio.Task[None]]") -> None:
        self._signal(signal.SIGTERM)
        _, late = await asyncio.wait(kept, timeout=self._drain_seconds + _GRACE)
        if late:
            _log.error("%d workers did not end in time and are killed", len(late))
            self._signal(signal.SIGKILL)
            await asyncio.wait(late)
