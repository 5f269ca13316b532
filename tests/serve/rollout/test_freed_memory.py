"""Memory that is free in the middle of the heap goes back, and large blocks do not lie there at all."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.serving.process_tree import ProcessTree
from serve.rollout.freed_memory import give_back

GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other rules")

BLOCK = 64 * 1024
"""Below what glibc maps by itself, which would go back in any case."""


MAPPED = """
import ctypes
import sys
from contextlib import suppress
from pathlib import Path

from serve.server import bind, serve_app
from serve.settings import ServeSettings
from src.contracts.errors import BundleError

if sys.argv[1] == "served":
    with suppress(BundleError):  # There is none; by then the library was told.
        serve_app(Path("no-bundle"), ServeSettings(), bind("127.0.0.1", 0))
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]


def mapped() -> int:
    class Mallinfo2(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks".split()] + [
            (name, ctypes.c_size_t) for name in "fsmblks uordblks fordblks keepcost".split()
        ]

    libc.mallinfo2.restype = Mallinfo2
    return libc.mallinfo2().hblks


libc.free(libc.malloc(16 * 2**20))
for size in (2**19, 2**21, 2**23):
    before = mapped()
    libc.malloc(size)
    print(mapped() - before)
"""


@GLIBC
@pytest.mark.parametrize(("how", "mapped"), [("usual", [0, 0, 0]), ("served", [0, 1, 1])])
def test_a_service_maps_blocks_above_a_mib_whatever_was_freed_before(
    repository: Path, how: str, mapped: list[int]
) -> None:
    command = [sys.executable, "-c", MAPPED, how]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(command, cwd=repository, env=plain, capture_output=True, text=True, check=True, timeout=60)
    assert [int(line) for line in done.stdout.split()] == mapped


@GLIBC
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
