"""CPU time and memory of a process and all below it, from Linux's /proc."""

import os
from pathlib import Path

__all__ = ["ProcessTree"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1024 * 1024


class ProcessTree:
    """A process and its descendants, looked up anew at each question."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def pids(self) -> list[int]:
        """All that live; empty when the process has ended."""
        found, unseen = [], [self._pid]
        while unseen:
            pid = unseen.pop()
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    unseen += map(int, (task / "children").read_text().split())
            except OSError:
                continue
            found.append(pid)
        return found

    def cpu_seconds(self) -> float:
        """Used so far, by children that have ended and were waited for as well."""
        # After the name, which may hold anything but ends with the last bracket: utime, stime, cutime, cstime.
        ticks = 0
        for text in self._read("stat"):
            ticks += sum(map(int, text.rpartition(")")[2].split()[11:15]))
        return ticks / _TICKS

    def resident_mib(self) -> float:
        """Resident memory; what processes share counts for each of them. Costs microseconds."""
        return sum(int(text.split()[1]) for text in self._read("statm")) * _PAGE / _MIB

    def private_mib(self) -> float:
        """Resident memory without mapped files."""
        lines = (line for text in self._read("status") for line in text.splitlines())
        return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

    def proportional_mib(self) -> float:
        """Resident memory, what is shared counted once. Costs milliseconds: not to be asked under load."""
        lines = (line for text in self._read("smaps_rollup") for line in text.splitlines())
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    def _read(self, name: str) -> list[str]:
        texts = []
        for pid in self.pids():
            try:
                texts.append(Path(f"/proc/{pid}/{name}").read_text())
            except OSError:  # It has just ended.
                continue
        return texts
