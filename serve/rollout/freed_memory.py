"""What a closed bundle took goes back to the system."""

import ctypes
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """Return freed memory, where the C library can (glibc).

    It keeps what a thread frees for that thread's arena, and a bundle's threads end with the bundle: the next one's
    take new memory, and a process that swaps once a minute grows by megabytes each time.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
