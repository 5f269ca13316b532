"""Our service and what it is compared with, as processes."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.serving.running import Server, free_port, python, started

__all__ = ["CONTESTANTS", "ours", "serving"]

_QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}

_OURS = ("serve", "/readyz", "Lookalike is ready")

CONTESTANTS = {
    "ours": (*_OURS, ("--runtime", "onnxruntime", "--processes", str(len(os.sched_getaffinity(0))))),
    "ours-1": (*_OURS, ("--runtime", "onnxruntime")),
    "FastAPI": ("benchmarks.serving.peer_fastapi", "/health", "", ()),
    "LitServe": ("benchmarks.serving.peer_litserve", "/health", "", ()),
}
"""By name: module, path that tells when it is ready, what it has said by then, and arguments. All take
`--encoder-threads`. `ours` has a process for each core, `ours-1` one."""


@contextmanager
def serving(name: str, bundle: Path, *arguments: str) -> Iterator[Server]:
    """One of the contestants, on a free port."""
    module, ready, says, own = CONTESTANTS[name]
    with _started(module, ready, says, bundle, (*own, *arguments), {}) as server:
        yield server


@contextmanager
def ours(
    bundle: Path, *arguments: str, module: str = "serve", environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Our service, on a free port.

    Args:
        bundle: what it serves.
        arguments: further ones of its command line.
        module: `serve`, or a launcher that takes the same arguments.
        environment: variables to add.
    """
    _, ready, says = _OURS
    with _started(module, ready, says, bundle, arguments, environment or {}) as server:
        yield server


@contextmanager
def _started(
    module: str, ready: str, says: str, bundle: Path, arguments: tuple[str, ...], environment: Mapping[str, str]
) -> Iterator[Server]:
    port = free_port()
    command = python(module, "--bundle", str(bundle.resolve()), "--port", str(port), *arguments)
    with started(command, port=port, ready=ready, says=says, environment={**_QUIET, **environment}) as server:
        yield server
