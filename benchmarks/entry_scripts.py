"""The entry scripts as processes of their own, on one thread each unless OMP_NUM_THREADS says otherwise."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.progress import track

from src.contracts.errors import ConfigError

__all__ = ["run_all", "run_script"]


def run_all(runs: Sequence[Callable[[], None]], *, jobs: int) -> None:
    """Make runs that wait for scripts, several at once, beside a progress bar."""
    with ThreadPoolExecutor(jobs) as pool:
        for _ in track(pool.map(lambda run: run(), runs), "training and evaluating", total=len(runs)):
            pass


def run_script(*command: str) -> None:
    """Run `python COMMAND` to its end, quietly.

    Raises:
        ConfigError: it ended with another code than 0; with the end of what it wrote to stderr.
    """
    done = subprocess.run(  # noqa: S603  # our own scripts, with arguments of ours
        [sys.executable, *command],
        env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
