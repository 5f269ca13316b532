"""Large CPU tensors without page faults."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have glibc keep what tensors free, and use it for the next ones; elsewhere nothing happens.

    By default glibc takes large blocks from the system and gives them back when they are freed, so that each step of a
    training on the CPU faults all its pages in again (`python -m benchmarks.training_speed` shows what that costs). The
    process then holds its peak of memory until it ends (mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD).

    Returns:
        Whether this C library was told.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_MAX, 0) == 1 and mallopt(_M_TRIM_THRESHOLD, _LARGEST) == 1
