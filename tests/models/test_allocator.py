"""Memory that tensors free is used again, not faulted in anew."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource
import sys

import torch

if sys.argv[1] == "keep":
    from src.models.allocator import keep_freed_memory

    assert keep_freed_memory()


torch.set_num_threads(1)


def use() -> None:
    parts = [torch.ones(2**24) for _ in range(3)]  # 64 MiB each
    del parts


for _ in range(10):  # until the heap has found its shape
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(repository: Path, how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], cwd=repository, capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_tensors_cost_no_faults(repository: Path) -> None:
    # 960 MiB are 245,760 pages of 4 KiB; huge pages, where they are on, are fewer.
    usual, kept = faults(repository, "usual"), faults(repository, "keep")
    assert usual > 1000
    assert kept < usual / 10
