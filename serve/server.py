"""The processes: Granian with its limits, and the line that says where it listens."""

import gc
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from serve.logs import SERVER, log_config
from serve.settings import ServeSettings
from serve.workers import LEAVE, REFUSED, RollingServer, mark_ready, stop_on_first_signal
from src.contracts.errors import ConfigError, LookalikeError

__all__ = ["serve"]

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_CONNECTIONS = 4096
_OTHER_FILES = 128
"""File descriptors beside connections: the bundle's files, the journal, libraries."""
_HEAD_BYTES = 64 * 1024
_POLL_SECONDS = 0.02


def serve(bundle: Path, settings: ServeSettings) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP restarts the worker processes one by one.

    Returns:
        The exit code: 0; 2 where the bundle or a setting cannot be served; 1 for a bug of ours.

    Raises:
        ConfigError: the address is in use, not allowed, or not one of this machine; there is no temporary folder.
    """
    with _run_folder() as name, _reserved(settings.host, settings.port) as reserved:
        run_folder = Path(name)
        address, port = reserved.getsockname()[:2]
        if settings.processes > 1:
            os.environ[_MULTIPROCESS] = name
        refused = run_folder / REFUSED
        # The reason has been printed; the server's line about the worker adds nothing.
        logging.getLogger(SERVER).addFilter(lambda _: not refused.exists())
        server = RollingServer(
            run_folder=run_folder,
            address=address,
            port=port,
            interface=Interfaces.ASGI,
            workers=settings.processes,
            loop=Loops.uvloop,
            # `auto` waits without a time limit for the first byte; HTTP/1 limits the time of the whole head.
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=1000 * settings.head_seconds, max_buffer_size=_HEAD_BYTES),
            websockets=False,
            url_path_prefix=settings.root_path or None,
            backpressure=_connections(),
            workers_kill_timeout=settings.drain_seconds,
            log_level=LogLevels.warning,
            log_dictconfig=log_config(form=settings.log_format, level=settings.log_level),
        )
        _reset_signals_in_forks()
        announcer = threading.Thread(target=_announce, args=(server, address, port, settings.processes), daemon=True)
        server.on_startup(announcer.start)
        try:
            server.serve(target_loader=partial(_load, bundle, settings, run_folder), wrap_loader=False)
        except SystemExit as ended:
            return 2 if refused.exists() else int(ended.code or 0)
        return 0


def _run_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder that the processes share."""
    try:
        return tempfile.TemporaryDirectory(prefix="lookalike-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(
            f"no temporary folder can be made ({error.strerror}); set TMPDIR to a folder that can be written"
        ) from None


@contextmanager
def _reserved(host: str, port: int) -> Iterator[socket.socket]:
    """Hold an address without listening, so that port 0 becomes a number, and a taken port is noticed at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"`--host {host}`: {error.strerror}; give an address of this machine") from None
    with socket.socket(family, kind, protocol) as tried, socket.socket(family, kind, protocol) as held:
        try:
            for one in (tried, held):
                # A restart would otherwise wait for the connections of the process before it to time out.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port:
                tried.bind(address)  # With SO_REUSEPORT, a second service would share the port of the first one.
                tried.close()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(address)
        except OSError as error:
            raise ConfigError(
                f"`--host {host} --port {port}`: {error.strerror}; choose another port, or stop what has this one"
            ) from None
        yield held


def _connections() -> int:
    """Connections of one process: as many as there are file descriptors for, after raising their soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(_CONNECTIONS, soft - _OTHER_FILES))


def _load(bundle: Path, settings: ServeSettings, run_folder: Path) -> Any:
    """In a worker process: make the application."""
    from serve.app import create_app
    from serve.bundle.memory import map_large_blocks

    def refuse(error: LookalikeError) -> NoReturn:
        with suppress(FileExistsError):  # Another process has said so.
            (run_folder / REFUSED).touch(exist_ok=False)
            print("serve: " + "; ".join(str(error).splitlines()), file=sys.stderr, flush=True)
        os._exit(2)  # Granian would print a traceback.

    map_large_blocks()
    stop_on_first_signal()
    _end_with_parent()
    if settings.processes > 1:
        _forget_dead_processes(run_folder)
    try:
        app = create_app(bundle, settings, on_ready=partial(mark_ready, run_folder), on_refusal=refuse)
    except LookalikeError as error:
        refuse(error)
    signal.signal(LEAVE, lambda *_: setattr(app.state.service, "leaving", True))
    # What exists before a bundle stays: the collector need not look at it whenever a bundle goes, which would hold up
    # all threads. By default it runs after every 700 new objects.
    gc.freeze()
    gc.set_threshold(20_000)
    return app


def _reset_signals_in_forks() -> None:
    """Let SIGTERM of the parent end a new worker process; leave SIGINT of a terminal to the parent.

    A fork has its parent's handlers. SIGTERM is blocked until they are exchanged: it would be lost, and waited for.
    """
    block = partial(signal.pthread_sigmask, signal.SIG_BLOCK, [signal.SIGTERM])
    unblock = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, [signal.SIGTERM])

    def reset() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=reset)


def _end_with_parent() -> None:
    """Drain and end when the parent process is gone, even if it was killed."""
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True, name="parent").start()


def _forget_dead_processes(folder: Path) -> None:
    """Drop the gauges of processes that have ended: their searches in flight, for instance."""
    from prometheus_client.multiprocess import mark_process_dead

    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _announce(server: RollingServer, host: str, port: int, processes: int) -> None:
    """Say where the service listens once it is ready; from then on, a worker that ends is started again."""
    while not server.interrupt_signal and not server.interrupt_children:
        if _ready(host, port):
            server.respawn_failed_workers = True
            name = f"[{host}]" if ":" in host else host
            several = f" with {processes} processes" if processes > 1 else ""
            print(f"Lookalike is ready at http://{name}:{port}{several}", flush=True)
            return
        time.sleep(_POLL_SECONDS)


def _ready(host: str, port: int) -> bool:
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    with closing(HTTPConnection(own, port, timeout=5)) as connection, suppress(OSError, HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False
