"""In processes of their own: the C library's settings hold for a whole process."""

import subprocess
import sys

import pytest

from serve.bundle import memory
from tests.serve.running import ROOT

GROWTH = """
import re, sys
from serve.bundle.memory import give_back, map_large_blocks

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read()).group(1)) // 1024

if sys.argv[1] == "tuned":
    map_large_blocks()
bytearray(20 * 2**20)  # Freed: from now on, blocks of this size would no longer be mapped.
base = resident()
blocks, kept = [], []
for _ in range(100):
    blocks.append(bytearray(b"x") * (4 * 2**20))
    kept.append(bytearray(b"x") * (64 * 2**10))  # Stays behind each block, so that the heap cannot shrink.
del blocks
if sys.argv[1] == "tuned":
    give_back()
print(resident() - base)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_large_blocks_that_are_freed_go_back_to_the_system():
    grown = {}
    for name in ("tuned", "default"):
        command = [sys.executable, "-c", GROWTH, name]
        grown[name] = int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert grown["tuned"] < 20, "MiB: what is kept is 6.25"
    assert grown["default"] > 300, "the default keeps what lies between"


def test_variable_of_the_operator_wins(monkeypatch):
    called: list[int] = []
    monkeypatch.setattr(memory, "_glibc", lambda name: lambda parameter, value: called.append(parameter))
    for name, _, _ in memory._TUNABLES:
        monkeypatch.delenv(name, raising=False)
    memory.map_large_blocks()
    assert len(called) == 3
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    memory.map_large_blocks()
    assert called[3:] == called[:2]


def test_system_without_glibc_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda name: None)
    memory.map_large_blocks()
    memory.give_back()
