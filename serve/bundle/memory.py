"""Tunes glibc, so that the memory of a closed bundle goes back to the system; does nothing elsewhere."""

import ctypes
import os
import sys
from typing import Any

__all__ = ["give_back", "map_large_blocks"]

_TUNABLES = (
    ("MALLOC_MMAP_THRESHOLD_", -3, 2**20),
    ("MALLOC_TRIM_THRESHOLD_", -1, 2**25),
    ("MALLOC_ARENA_MAX", -8, len(os.sched_getaffinity(0))),
)
"""Environment variable, parameter of mallopt(3), and value."""


def map_large_blocks() -> None:
    """Map each block of a MiB or more by itself, and make one heap for each core. Call it at the start.

    By default glibc maps large blocks only until the first one is freed. Then the weights of the next bundle lie among
    blocks that stay, leave holes when they go, and a process that changes bundles grows.
    """
    mallopt = _glibc("mallopt")
    for variable, parameter, value in _TUNABLES if mallopt else ():
        if variable not in os.environ:
            mallopt(parameter, value)


def give_back() -> None:
    """Return freed memory: glibc keeps it for the heap of the thread that freed it, which may have ended."""
    trim = _glibc("malloc_trim")
    if trim:
        trim(0)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
