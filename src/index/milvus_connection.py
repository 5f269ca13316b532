"""Connections to Milvus: a server's address, or milvus-lite in a file, whose server goes with its last user."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from src.contracts.errors import ConfigError, UnavailableError

__all__ = ["connect", "disconnect", "milvus_calls"]

_RECONNECT = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 1000}
"""A server that is back is found within a second; gRPC's own pauses grow to two minutes."""
_open_files: Counter[str] = Counter()
_open_files_lock = threading.Lock()


def connect(uri: str, token: str, timeout: float) -> tuple[MilvusClient, str]:
    """A client, and the place as messages name it; to be given back to `disconnect`.

    Args:
        uri: path of a file that ends in `.db`, or a server's address.
        token: `user:password` or an API key.
        timeout: seconds until a call that is not answered raises.

    Raises:
        ConfigError: neither a file nor an address.
        UnavailableError: the server is away or refuses.
    """
    # It logs each error with a traceback, beside raising it.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    if "://" not in uri:  # So does milvus-lite's server, in this process, where it is asked for what it lacks.
        logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
    place = _without_credentials(uri)
    if "://" not in uri:
        if not uri.endswith(".db"):
            raise ConfigError(f"`uri={place}`: give a file that ends in .db, or a server's address")
        if not Path(uri).resolve().parent.is_dir():
            raise ConfigError(f"`uri={place}`: its folder does not exist")
        with _open_files_lock:
            _open_files[str(Path(uri).resolve())] += 1
    try:
        with milvus_calls(place, "connect"):
            # milvus-lite takes the pings of an idle client for an attack, and hangs up.
            options = _RECONNECT if "://" in uri else {"grpc.keepalive_permit_without_calls": False}
            return MilvusClient(uri, token=token, timeout=timeout, grpc_options=options), place
    except BaseException:
        _release_file(uri)
        raise


def disconnect(client: MilvusClient, uri: str) -> None:
    """Close a client of `connect`; milvus-lite's server stops with the last that has its file open."""
    client.close()
    _release_file(uri)


def _release_file(uri: str) -> None:
    if "://" in uri:
        return
    path = str(Path(uri).resolve())
    with _open_files_lock:
        _open_files[path] -= 1
        if _open_files[path]:
            return
        del _open_files[path]
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(path)


@contextmanager
def milvus_calls(place: str, what: str) -> Iterator[None]:
    """Raise what Milvus raises as `UnavailableError`, with the place and what was done."""
    try:
        yield
    except MilvusException as error:
        raise UnavailableError(f"Milvus at {place}: {what}: {error.message}") from None
    except grpc.RpcError as error:  # pymilvus passes on what it does not try again: a deadline, for instance.
        raise UnavailableError(f"Milvus at {place}: {what}: {error.code().name}") from None


def _without_credentials(uri: str) -> str:
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
