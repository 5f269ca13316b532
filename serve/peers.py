"""The processes of one service: how a worker knows of the others, and asks them."""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

__all__ = ["WORKER", "Peers"]

WORKER = "_SERVE_WORKER"
"""The variable by which a worker knows that it is one: `PORT:NUMBER:FOLDER`."""

_SECONDS = 600.0
"""For a rollout in another worker: it loads a bundle."""
_METRICS_SECONDS = 2.0

_log = logging.getLogger("serve")


@dataclass(frozen=True)
class Peers:
    """One worker among others. Each listens on a socket in a folder that only this user may enter.

    Attributes:
        port: that all listen on.
        number: of this worker, from 0.
        folder: of their sockets, and of what a worker that starts later must know.
    """

    port: int
    number: int
    folder: Path

    @classmethod
    def of_environment(cls) -> "Peers | None":
        """What the parent told this process; None where it is no worker."""
        told = os.environ.pop(WORKER, None)
        if told is None:
            return None
        port, number, folder = told.split(":", 2)
        return cls(int(port), int(number), Path(folder))

    def bind(self) -> socket.socket:
        """Take the own socket of this worker."""
        path = self._socket(self.number)
        path.unlink(missing_ok=True)
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        own.bind(str(path))
        return own

    def end_with_parent(self) -> None:
        """Drain and end when the parent is gone, however it went: its end of our stdin then closes."""

        def wait() -> None:
            # Not through sys.stdin: its lock, held by a thread that waits, breaks the interpreter's end.
            while os.read(0, 1024):
                pass
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, daemon=True, name="parent").start()

    def bundle(self, default: Path) -> Path:
        """The bundle that a worker begins with: the one that was rolled out last."""
        path = self.folder / "bundle"
        return Path(path.read_text(encoding="utf-8")) if path.exists() else default

    def remember(self, bundle: Path) -> None:
        """Let workers that start from now on begin with this bundle."""
        part = self.folder / f"bundle.{self.number}.part"
        part.write_text(str(bundle.resolve()), encoding="utf-8")
        os.replace(part, self.folder / "bundle")

    async def metrics(self) -> dict[int, str]:
        """What each of the others measured, by its number; those that do not answer are left out."""
        answers = await self._ask("GET", "/metrics/worker", seconds=_METRICS_SECONDS)
        return {number: answer.text for number, answer in answers.items() if answer.status_code == 200}

    async def post(self, path: str, body: Any, headers: Mapping[str, str]) -> dict[int, httpx.Response]:
        """Ask all others to do something; those that are gone are left out."""
        return await self._ask("POST", path, seconds=_SECONDS, json=body, headers=dict(headers))

    async def _ask(self, method: str, path: str, *, seconds: float, **more: Any) -> dict[int, httpx.Response]:
        async def one(socket_path: Path) -> httpx.Response | None:
            transport = httpx.AsyncHTTPTransport(uds=str(socket_path))
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://worker", timeout=seconds) as client:
                    return await client.request(method, path, **more)
            except httpx.HTTPError as error:
                _log.warning("%s does not answer (%s)", socket_path.stem, type(error).__name__)
                return None

        others = [path for path in self.folder.glob("worker-*.sock") if path != self._socket(self.number)]
        answers = await asyncio.gather(*(one(path) for path in others))
        return {
            int(path.stem.removeprefix("worker-")): answer
            for path, answer in zip(others, answers, strict=True)
            if answer is not None
        }

    def _socket(self, number: int) -> Path:
        return self.folder / f"worker-{number}.sock"
