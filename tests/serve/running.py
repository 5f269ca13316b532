"""`python -m serve` in a process of its own."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds: far more than a start takes, so that only a service that hangs meets it."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "serve", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


class Running:
    """A started service."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal it; the exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


@contextmanager
def running(
    arguments: Sequence[str], *, environment: dict[str, str] | None = None, root: Path = ROOT
) -> Iterator[Running]:
    """Start, wait for the line that names the URL, and end in any case."""
    with subprocess.Popen(
        command(*arguments, "--port", "0"),
        cwd=root,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Running(process, _url(process))
        finally:
            if process.poll() is None:
                process.kill()


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
