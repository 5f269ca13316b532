"""Runs work at a low priority, so that it leaves the cores to the requests that are being answered."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["at_low_priority"]

T = TypeVar("T")
_NICENESS = 15


def at_low_priority(work: Callable[[], T]) -> T:
    """Run work to its end on a thread of its own, which has a low priority on Linux; return or raise its outcome.

    A thread cannot raise its priority again, and threads that it starts inherit it: start no thread pools in it that go
    on afterwards.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="low-priority", initializer=_lower_priority) as thread:
        return thread.submit(work).result()


def _lower_priority() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Only root may raise one that is lower already.
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
