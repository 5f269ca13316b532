"""Redis and PostgreSQL, real ones, on free ports: started, killed and started again."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from benchmarks.serving.running import free_port

__all__ = ["Dependency", "postgres", "redis"]

_PATIENCE = 30.0
"""Seconds that a server may take to answer."""


@dataclass
class Dependency:
    """A server that can be killed and comes back with what it had on disk.

    Attributes:
        url: where it is.
        port: where it listens, on 127.0.0.1.
        command: what starts it.
        answers: whether it can be worked with.
        user: whom it runs as; None for who runs this.
    """

    url: str
    port: int
    command: Sequence[str]
    answers: Callable[[], bool]
    user: str | None = None
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            # PostgreSQL refuses to start while processes of the one that was killed still end.
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(  # noqa: S603
                    self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_as_user(self.user)
                )
            if self.answers():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.command[0]} does not answer on port {self.port}")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def redis(folder: Path) -> Iterator[Dependency]:
    """A Redis that keeps nothing on disk."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _running(Dependency(f"redis://127.0.0.1:{port}/0", port, command, lambda: _redis_answers(port))) as server:
        yield server


@contextmanager
def postgres(folder: Path) -> Iterator[Dependency]:
    """A PostgreSQL with an empty database; run as `postgres` where this is root, which it refuses."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise SystemExit("PostgreSQL is not installed (Debian: postgresql)")
    user = "postgres" if os.geteuid() == 0 else None
    port, data = free_port(), folder / "postgres"
    data.mkdir()
    if user:
        _let_in(folder, user)
    subprocess.run(  # noqa: S603
        [programs[-1] / "initdb", "-D", data, "-U", "lookalike", "-A", "trust", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, **_as_user(user),
    )  # fmt: skip
    command = [
        str(programs[-1] / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data),
        "-c", "listen_addresses=127.0.0.1",
    ]  # fmt: skip
    url = f"postgresql://lookalike@127.0.0.1:{port}/postgres"
    with _running(Dependency(url, port, command, lambda: _postgres_answers(port), user)) as server:
        yield server


@contextmanager
def _running(server: Dependency) -> Iterator[Dependency]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _redis_answers(port: int) -> bool:
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _postgres_answers(port: int) -> bool:
    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=lookalike dbname=postgres", connect_timeout=1).close()
    except psycopg.Error:
        return False
    return True


def _let_in(folder: Path, user: str) -> None:
    """The data belongs to the user, and the way there may be gone by all."""
    shutil.chown(folder / "postgres", user, user)
    (folder / "postgres").chmod(0o700)
    for parent in (folder, *folder.parents):
        if parent.owner() == "root" and parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)


def _as_user(user: str | None) -> dict[str, Any]:
    return {"user": user, "group": user, "extra_groups": [], "cwd": "/"} if user else {}
