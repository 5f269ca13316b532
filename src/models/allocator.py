"""Configure glibc's allocator, so that large CPU tensors cause no page faults in each step."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make glibc reuse freed memory instead of returning it to the system; does nothing on other systems.

    By default glibc allocates large blocks from the system and returns them when they are freed, so that each training
    step on the CPU causes page faults for all its memory again (`python -m benchmarks.training_speed` measures the
    cost). With this setting the process keeps its peak memory until it ends (mallopt(3), M_MMAP_MAX and
    M_TRIM_THRESHOLD).

    Returns:
        Whether the C library accepted the setting.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_MAX, 0) == 1 and mallopt(_M_TRIM_THRESHOLD, _LARGEST) == 1
