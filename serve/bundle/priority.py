"""Runs work at a low priority, so that it leaves the cores to the requests that are being answered."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["at_low_priority"]

T = TypeVar("T")
_NICENESS = 15


def at_low_priority(work: Callable[[], T]) -> T:
    """Run work to its end on a thread of its own, which has a low priority on Linux; return or raise its outcome.

    A thread cannot raise its priority again, and threads that it starts inherit it: start no thread pools in it that go
    on afterwards.
    """
    future: Future[T] = Future()

    def run() -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="low-priority")
    thread.start()
    thread.join()
    return future.result()
