"""Daemon threads: a database that hangs must not keep the process from ending."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["DaemonThreads"]

T = TypeVar("T")


class DaemonThreads:
    """A thread pool whose threads the process does not wait for at its end, unlike those of `ThreadPoolExecutor`."""

    def __init__(self, *, threads: int, name: str) -> None:
        """Start the threads."""
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Queue work; work that is cancelled before its turn is dropped."""
        future: Future[T] = Future()
        self._queue.put((future, work))
        return future

    def close(self, *, patience: float = 1.0) -> None:
        """End each thread after the queued work, and wait up to `patience` seconds for them."""
        for _ in self._threads:
            self._queue.put(None)
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            future, work = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del job, future, work  # An idle thread would keep the objects of the last job.
