"""`python -m serve` as the documents start it, and as what their `curl` lines speak to."""

import os
import re
import select
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["served"]

_PATIENCE = 120.0
"""Seconds: far more than a start takes, so that only a service that hangs meets it."""


@contextmanager
def served(text: str, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Start the service by a command line, wait until its page answers, and stop it.

    Args:
        text: runs `python -m serve`.
        folder: to run it in.
        environment: of the command.

    Yields:
        The URL that it names when it has started.
    """
    with (folder / "serve.log").open("wb") as log, subprocess.Popen(
        ["bash", "-c", text], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            url = _url(process, folder)
            with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # loopback
                assert answer.status == 200
            yield url
            os.killpg(process.pid, signal.SIGTERM)
            assert process.wait(_PATIENCE) == 0, (folder / "serve.log").read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _url(process: subprocess.Popen[str], folder: Path) -> str:
    deadline = time.monotonic() + _PATIENCE
    assert process.stdout is not None
    while time.monotonic() < deadline and select.select([process.stdout], [], [], deadline - time.monotonic())[0]:
        line = process.stdout.readline()
        if found := re.search(r"http://[\w.:]+", line):
            return found.group()
        if not line:
            break
    raise AssertionError(f"the service did not start: {(folder / 'serve.log').read_text()}")
