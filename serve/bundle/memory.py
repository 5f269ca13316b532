"""Where memory comes from, so that what a closed bundle took goes back to the system."""

import ctypes
import os
import sys
from typing import Any

__all__ = ["give_back", "map_large_blocks"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 2**20
_KEPT = 2**25
"""Bytes that may lie free at the end of a heap: what a burst of searches leaves is not asked for anew each time."""


def map_large_blocks() -> None:
    """Have the C library map every block of a MiB or more by itself, where it can (glibc). To be called at the start.

    By default it does so until the first such block is freed, and then raises the threshold to that block's size
    (mallopt(3), M_MMAP_THRESHOLD): the weights of the next bundle lie among what stays, leave holes when they go, and a
    process that swaps bundles grows. It also makes one heap for each core; by default there may be eight times as many,
    each with holes of its own.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        return
    for variable, parameter, value in (
        ("MALLOC_MMAP_THRESHOLD_", _M_MMAP_THRESHOLD, _LARGE),
        ("MALLOC_TRIM_THRESHOLD_", _M_TRIM_THRESHOLD, _KEPT),
        ("MALLOC_ARENA_MAX", _M_ARENA_MAX, len(os.sched_getaffinity(0))),
    ):
        if variable not in os.environ:  # An operator's own wish.
            mallopt(parameter, value)


def give_back() -> None:
    """Return freed memory, where the C library can (glibc).

    It keeps what a thread frees for that thread's heap, and a bundle's threads end with the bundle: the next one's take
    new memory, and a process that swaps once a minute grows by megabytes each time.
    """
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
