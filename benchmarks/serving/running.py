"""Servers, each in a process group of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.serving.process_tree import ProcessTree

__all__ = ["ROOT", "Server", "free_port", "python", "started"]

ROOT = Path(__file__).parents[2]
_PATIENCE = 120.0
"""Seconds that a server may take to be ready."""


@dataclass
class Server:
    """A server that runs.

    Attributes:
        process: its first process.
        port: where it listens, on 127.0.0.1.
        tree: the process and all below it.
        log: file that its output goes to.
    """

    process: subprocess.Popen[bytes]
    port: int
    tree: ProcessTree
    log: IO[bytes]

    def wait(self, seconds: float) -> int | None:
        """The exit code; None where it has not ended by then."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def output(self) -> str:
        """What it has written so far."""
        return Path(self.log.name).read_text(errors="replace")

    def get(self, path: str, *, timeout: float = 10.0) -> tuple[int, bytes]:
        """Status and body of a GET; raises `OSError` where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module."""
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def started(
    command: Sequence[str], *, port: int, ready: str, says: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server, wait until it is ready, and end it and all its children in any case.

    Args:
        command: what to run; it listens on `port`.
        port: see `free_port`.
        ready: path that is answered with 200 when it is ready.
        says: what it has written by then: of several processes the first one answers long before the last.
        environment: variables to add.
    """
    with tempfile.NamedTemporaryFile(prefix="server-", suffix=".log") as log:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=log, stderr=log, start_new_session=True
        )
        server = Server(process, port, ProcessTree(process.pid), log)
        try:
            _await_ready(server, ready, says)
            yield server
        finally:
            _end(process)


def _await_ready(server: Server, path: str, says: str) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and server.process.poll() is None:
        try:
            if server.get(path)[0] == 200 and says in server.output():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{server.process.args!r} is not ready:\n{server.output()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # Children that outlived it.
    process.wait()
