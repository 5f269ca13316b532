"""One replica as a process that is killed and started again on its port."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from benchmarks.serving.process_tree import ProcessTree
from benchmarks.serving.running import ROOT, free_port, python

__all__ = ["Replica"]

_PATIENCE = 180.0
"""Seconds that it may take to be ready: it ends while Milvus is away, and is started again."""


class Replica:
    """`python -m serve` on one port, whatever becomes of its process."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start nothing yet; `arguments` and `environment` are added to those of every start."""
        self.port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self._command = python("serve", "--port", str(self.port), *arguments)
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.NamedTemporaryFile(prefix="replica-", suffix=".log")  # noqa: SIM115 - closed by `close`
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, and again where it ends, until it is ready."""
        end = time.monotonic() + _PATIENCE
        with self._lock:
            while time.monotonic() < end:
                if self._process is None or self._process.poll() is not None:
                    self._process = subprocess.Popen(  # noqa: S603
                        self._command,
                        cwd=ROOT,
                        env=self._environment,
                        stdout=self._log,
                        stderr=self._log,
                        start_new_session=True,
                    )
                try:
                    if httpx.get(f"{self.client.base_url}/readyz", timeout=2).status_code == 200:
                        return
                except httpx.HTTPError:
                    time.sleep(0.2)
        raise RuntimeError(f"a replica is not ready:\n{Path(self._log.name).read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        if self._process is None:
            return
        for pid in reversed(ProcessTree(self._process.pid).pids()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()

    def close(self) -> None:
        """Kill it, and close what belongs to it."""
        self.kill()
        self.client.close()
        self._log.close()
