"""Memory that is free in the middle of the heap goes back."""

import ctypes
import os
import platform

import pytest

from benchmarks.serving.process_tree import ProcessTree
from serve.rollout.freed_memory import give_back

BLOCK = 64 * 1024
"""Below what glibc maps by itself, which would go back in any case."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps nothing")
def test_freed_blocks_leave_the_process() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    own = ProcessTree(os.getpid())
    blocks = [libc.malloc(BLOCK) for _ in range(2000)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    # Every tenth stays: the heap cannot shrink from its end.
    for number, block in enumerate(blocks):
        if number % 10:
            libc.free(block)
    before = own.resident_mib()
    give_back()
    assert before - own.resident_mib() > 80
    for block in blocks[::10]:
        libc.free(block)
