"""CPU and memory of a process and its children."""

import os
import subprocess
import sys

from benchmarks.serving.process_tree import ProcessTree

CHILD = """import time
while time.process_time() < .4: pass
held = bytearray(b"1") * 2**25
print(1, flush=True)
input()"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_children_count_and_what_has_ended_does_not_break_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        tree = ProcessTree(process.pid)
        assert process.stdout.readline() == "1\n"
        assert len(tree.pids()) == 2
        assert 0.25 < tree.cpu_seconds() < 5
        assert tree.resident_mib() > tree.proportional_mib() > 32
        process.communicate("\n")
    assert tree.pids() == []
    assert tree.cpu_seconds() == tree.resident_mib() == 0
    assert ProcessTree(os.getpid()).cpu_seconds() > 0
