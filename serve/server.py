"""The process: a socket, signals, and a clean end."""

import asyncio
import gc
import signal
import socket
from collections.abc import Coroutine, Sequence
from pathlib import Path

import uvicorn
import uvloop
from fastapi import FastAPI

from serve.app import create_app
from serve.observe.exporter import exporting
from serve.peers import Peers
from serve.rollout.freed_memory import map_large_blocks
from serve.service import Service
from serve.settings import ServeSettings
from src.contracts.errors import ConfigError

__all__ = ["bind", "serve", "serve_app"]


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Take an address before anything is loaded; nobody can connect to it yet.

    Args:
        host: name or number of an address of this machine.
        port: 0 takes a free one.
        shared: with other processes of this user that share it too: each new connection goes to one of those that
            listen, picked by its addresses (SO_REUSEPORT).

    Raises:
        ConfigError: the address is in use, not allowed, or none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"`--host {host}`: {error.strerror}; give an address of this machine") from None
    listener = socket.socket(family, kind, protocol)
    try:
        # Else a restart would wait for the connections of the process before it to time out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _taken(host, port, error) from None
    return listener


def serve_app(bundle: Path, settings: ServeSettings, listener: socket.socket, peers: Peers | None = None) -> None:
    """Make the application and serve it; one process, or a worker among others. Raises as `serve`."""
    map_large_blocks()
    if peers is None:
        app = create_app(bundle, settings)
        _run(serve(app, [listener], drain_seconds=settings.drain_seconds))
        return
    peers.end_with_parent()
    app = create_app(peers.bundle(bundle), settings, peers)
    with peers.bind() as own:
        _run(serve(app, [listener, own], drain_seconds=settings.drain_seconds))


def _run(served: Coroutine[None, None, None]) -> None:
    # A fifth less CPU for a request than with asyncio's own loop.
    with exporting(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(served)


async def serve(app: FastAPI, listeners: Sequence[socket.socket], *, drain_seconds: int) -> None:
    """Load, listen, and drain when SIGTERM or SIGINT comes; SIGHUP opens the bundle's path again.

    Args:
        app: its lifespan loads what it serves.
        listeners: what `bind` gave, and others.
        drain_seconds: time that running requests have to finish; a second SIGINT cuts it short.

    Raises:
        LookalikeError: the application cannot be served.
        asyncio.CancelledError: the signal came while it was loading.
    """
    host, port = listeners[0].getsockname()[:2]
    config = uvicorn.Config(
        app,
        # The lifespan is entered here: Uvicorn would turn its errors into a logged traceback.
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        # Above the 60 seconds that load balancers keep an idle connection: who closes first loses no request.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=drain_seconds,
    )
    server = _Server(config, url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        # Needed after the drain as well: Uvicorn then raises the signal again, which by default would end the process
        # with -15.
        loop.add_signal_handler(number, lambda: None if server.started else task.cancel())
    loop.add_signal_handler(signal.SIGHUP, lambda: server.reopen(app.state.service) if server.started else None)
    # What is there before a bundle stays: the collector need not look at it whenever a bundle goes, which would hold up
    # all threads. By default it looks through what is new after every 700 objects.
    gc.freeze()
    gc.set_threshold(20_000)
    async with app.router.lifespan_context(app):
        try:
            await server.serve(sockets=list(listeners))
        except OSError as error:
            raise _taken(host, port, error) from None


class _Server(uvicorn.Server):
    """Uvicorn that says where it listens."""

    def __init__(self, config: uvicorn.Config, *, url: str) -> None:
        super().__init__(config)
        self._url = url
        self._reopening: asyncio.Task[None] | None = None

    def reopen(self, service: Service) -> None:
        """Look at the bundle's path again, beside what is being answered."""
        self._reopening = asyncio.create_task(service.reopen())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            print(f"Lookalike is ready at {self._url}", flush=True)  # What a caller waits for.


def _taken(host: str, port: int, error: OSError) -> ConfigError:
    return ConfigError(
        f"`--host {host} --port {port}`: {error.strerror or error}; choose another port, or stop what has this one"
    )
