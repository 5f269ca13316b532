"""Threads that may be left behind: a database that has stopped holds its caller for as long as it likes."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["DaemonThreads"]

T = TypeVar("T")


class DaemonThreads:
    """A pool, started at first use, that the process does not wait for at its end as for a `ThreadPoolExecutor`."""

    def __init__(self, *, threads: int, name: str) -> None:
        """Start no thread yet."""
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._open_or_closed = threading.Lock()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)]
        self._started = False

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Have it done; what is cancelled before its turn is not.

        Raises:
            RuntimeError: closed.
        """
        future: Future[T] = Future()
        with self._open_or_closed:
            if self._closed:
                raise RuntimeError("closed")
            if not self._started:
                self._start()
            self._queue.put((future, work))
        return future

    def close(self, *, patience: float = 1.0) -> None:
        """Let each thread end after what was submitted before, and wait so many seconds for them. Blocks."""
        with self._open_or_closed:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        until = time.monotonic() + patience
        for thread in self._threads if self._started else ():
            thread.join(max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        self._started = True
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del job, future, work  # Else an idle thread keeps the last job's objects.
