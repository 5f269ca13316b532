"""Real servers for the tests: started on a free port, killed, stopped and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

_PATIENCE = 30.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class RedisServer:
    """A Redis that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def start(self, *options: str) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_until(self._answers, "redis-server")

    def kill(self) -> None:
        assert self._process is not None
        self.resume()
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """It takes connections and bytes (the kernel does) and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A started Redis; skips the test where there is none to start."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (Debian: redis-server)")
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class PostgresServer:
    """A PostgreSQL with a cluster of its own."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql+psycopg://lookalike@127.0.0.1:{self.port}/postgres"
        self._binaries = binaries
        self._data = folder / "data"
        self._socket = folder
        # It refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", "lookalike", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        options = ["-p", str(self.port), "-k", str(self._socket), "-c", "fsync=off", "-h", "127.0.0.1"]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", str(self._data), *options],
            user=self._user, group=self._user, extra_groups=[] if self._user else None, cwd=self._socket,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        _wait_until(self._answers, "postgres")

    def kill(self) -> None:
        """Kill it with all that serves its connections."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def execute(self, query: str, *parameters: object) -> None:
        with psycopg.connect(f"postgresql://lookalike@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(query.encode(), parameters)

    def _signal(self, number: int) -> None:
        """To its children as well: each has a process group of its own."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        for pid in (self._process.pid, *pids):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / name, *arguments], user=self._user, group=self._user,
            extra_groups=[] if self._user else None, cwd=self._socket, check=True, capture_output=True,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A started PostgreSQL; skips the test where there is none to start."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    # Not in pytest's folder, which its user may not enter.
    with tempfile.TemporaryDirectory(prefix="lookalike-postgres-") as folder:
        server = PostgresServer(found[-1].parent, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _wait_until(holds, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not start within {_PATIENCE:g} s")
        time.sleep(0.02)
