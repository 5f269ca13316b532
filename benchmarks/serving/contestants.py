"""Our service and what it is compared with, as processes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.serving.running import Server, free_port, python, started

__all__ = ["CONTESTANTS", "ours", "serving"]

_QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}

CONTESTANTS = {
    "ours": ("serve", "/readyz", ("--runtime", "onnxruntime")),
    "FastAPI": ("benchmarks.serving.peer_fastapi", "/health", ()),
    "LitServe": ("benchmarks.serving.peer_litserve", "/health", ()),
}
"""Module, path that tells when it is ready, and arguments, by name. All take `--encoder-threads`."""


@contextmanager
def serving(name: str, bundle: Path, *arguments: str) -> Iterator[Server]:
    """One of the contestants, on a free port."""
    module, ready, own = CONTESTANTS[name]
    with _started(module, ready, bundle, (*own, *arguments), {}) as server:
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
    with _started(module, "/readyz", bundle, arguments, environment or {}) as server:
        yield server


@contextmanager
def _started(
    module: str, ready: str, bundle: Path, arguments: tuple[str, ...], environment: Mapping[str, str]
) -> Iterator[Server]:
    port = free_port()
    command = python(module, "--bundle", str(bundle.resolve()), "--port", str(port), *arguments)
    with started(command, port=port, ready=ready, environment={**_QUIET, **environment}) as server:
        yield server
