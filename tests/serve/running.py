"""`python -m serve` in a process of its own."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds: far more than anything here takes, so that only a service that hangs meets it."""
TOKEN = "the-token-of-the-tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def command(*arguments: str, module: str = "serve") -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def run(
    *arguments: str, environment: dict[str, str] | None = None, root: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        command(*arguments),
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def until(condition: Callable[[], bool], what: str = "waited in vain", *, seconds: float = PATIENCE) -> None:
    """Wait for a condition, asked every few milliseconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Running:
    """A started service."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=PATIENCE)

    def workers(self) -> list[int]:
        """The process ids of its worker processes."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for children in tasks for pid in children.read_text().split()]

    def memory(self, *, peak: bool = False) -> int:
        """Resident bytes of the one worker process, now or at most so far."""
        (worker,) = self.workers()
        name = "VmHWM" if peak else "VmRSS"
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
        assert found
        return 1024 * int(found.group(1))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal it; the exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


@contextmanager
def running(
    arguments: Sequence[str],
    *,
    environment: dict[str, str] | None = None,
    root: Path = ROOT,
    wrapper: Sequence[str] = (),
    module: str = "serve",
) -> Iterator[Running]:
    """Start, wait for the line that names the URL, and end in any case.

    Args:
        arguments: of the command line.
        environment: variables beside those of this process.
        root: working directory.
        wrapper: a command that runs the command that follows it.
        module: a launcher that takes the same arguments.
    """
    with subprocess.Popen(
        [*wrapper, *command(*arguments, "--port", "0", module=module)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        started = None
        try:
            started = Running(process, _url(process))
            yield started
        finally:
            if started is not None:
                started.client.close()
            if process.poll() is None:
                process.kill()


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def _url(process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + PATIENCE
    assert process.stdout is not None
    while time.monotonic() < deadline:
        if not select.select([process.stdout], [], [], 0.2)[0]:
            continue
        line = process.stdout.readline()
        if found := re.search(r"http://\S+", line):
            return found.group()
        if not line:
            break
    process.kill()
    raise AssertionError(f"the service did not start: {process.communicate()[1]}")
