"""A real Milvus server for tests and benchmarks: started, killed, and started again over the same folder."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks.serving.process_tree import ProcessTree
from benchmarks.serving.running import ROOT, free_port

__all__ = ["MilvusServer", "milvus_server", "unavailable"]

_PATIENCE = 120.0
"""Seconds that it may take to be ready."""


def unavailable() -> str:
    """Why no Milvus can be started here; empty where one can."""
    if find_spec("milvus") is None:
        return "the package milvus is not installed (extra milvus-server)"
    probe = "from benchmarks.milvus.closed_server import own_network; own_network()"
    tried = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if tried.returncode:
        return f"Milvus would listen on all interfaces: {tried.stderr.strip().splitlines()[-1]}"
    return ""


class MilvusServer:
    """Milvus 2.3.5 in one process, with its data in a folder; reached at `uri` from this machine only.

    It ends with the process that started it. Its Go heap is held to 1 GiB; `benchmarks.milvus.closed_server` says how.
    """

    def __init__(self, folder: Path, port: int = 0, *, quick: bool = False) -> None:
        """Start nothing yet.

        Args:
            folder: for its data and logs; is made where it is not there.
            port: of 127.0.0.1; a free one where 0.
            quick: shorten its intervals, for tests; not for measuring it.
        """
        self.folder = folder
        self.port = port or free_port()
        self._options = ["--quick"] if quick else []
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            RuntimeError: it ended or did not answer in time; the message has the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.milvus.closed_server", str(self.folder.resolve()), str(self.port)]
        command += self._options
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self._process.stdout is not None
        deadline = time.monotonic() + _PATIENCE
        while not select.select([self._process.stdout], [], [], 0.5)[0]:
            if time.monotonic() > deadline:
                break
        else:
            if self._process.stdout.readline() == b"ready\n":
                return
        self.kill()
        raise RuntimeError(f"Milvus did not start:\n{self._log_end()}")

    def kill(self) -> None:
        """End it as a crash would: SIGKILL to all of its processes at once; does nothing where it has ended."""
        if self._process is None:
            return
        pids = self.tree.pids()
        for pid in reversed(pids):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        _await_end(pids)
        self._close()

    def stop(self) -> None:
        """End it as an operator would; does nothing where it has ended."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        pids = self.tree.pids()
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
        _await_end(pids)
        self._close()

    @property
    def tree(self) -> ProcessTree:
        """Its processes."""
        assert self._process is not None
        return ProcessTree(self._process.pid)

    def _close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def _log_end(self) -> str:
        logs = (self.folder / "server.log", self.folder / "logs" / "milvus.log")
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in logs if log.is_file())


def _await_end(pids: list[int]) -> None:
    """Wait for processes that others wait for: their files and ports are free when they have ended."""
    deadline = time.monotonic() + 30
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextmanager
def milvus_server(*, quick: bool = False) -> Iterator[MilvusServer]:
    """A started server over a new folder, killed and removed afterwards; `quick` as in `MilvusServer`."""
    with tempfile.TemporaryDirectory(prefix="lookalike-milvus-", ignore_cleanup_errors=True) as folder:
        server = MilvusServer(Path(folder) / "server", quick=quick)
        try:
            server.start()
            yield server
        finally:
            server.kill()
