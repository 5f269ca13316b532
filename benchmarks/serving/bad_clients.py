"""Clients that a service meets on the open network: they leave, or take their time."""

import asyncio
import itertools

import numpy as np

from benchmarks.serving.connection import Connection
from benchmarks.serving.photos import Build

__all__ = ["leaving", "slow_bodies", "slow_heads", "slow_readers"]

_PAUSE = 0.2
"""Seconds between the bytes of a slow client."""

_UNREAD = b"GET /v1/bundle HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200
"""Requests whose answers fill every buffer on the way of one who does not read."""


async def leaving(port: int, build: Build, *, rate: float, seconds: float, seed: int = 0) -> int:
    """Clients that send a request, or half of one, and close the connection within 50 ms; how many there were."""
    rng = np.random.default_rng(seed)
    end = asyncio.get_running_loop().time() + seconds
    running: list[asyncio.Task[None]] = []

    async def one(number: int, share: float, pause: float) -> None:
        connection = await Connection.open("127.0.0.1", port)
        request = build(number)
        connection.write(request[: int(share * len(request))])
        await asyncio.sleep(pause)
        connection.close()

    for number in itertools.count():
        await asyncio.sleep(rng.exponential(1 / rate))
        if asyncio.get_running_loop().time() > end:
            break
        whole = rng.random() < 0.5
        running.append(asyncio.ensure_future(one(number, 1.0 if whole else rng.random(), 0.05 * rng.random())))
    await asyncio.gather(*running)
    return len(running)


async def slow_heads(port: int, count: int) -> None:
    """Heads that never end, byte by byte, until cancelled."""
    await _dribble(port, count, b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x")


async def slow_bodies(port: int, count: int) -> None:
    """Bodies that never end, byte by byte, until cancelled."""
    head = (
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 20000\r\n\r\n--b\r\n"
    )
    await _dribble(port, count, head, b"x")


async def slow_readers(port: int, count: int) -> None:
    """Clients that ask and never read, until cancelled."""
    writers = [(await asyncio.open_connection("127.0.0.1", port, limit=1))[1] for _ in range(count)]
    try:
        for writer in writers:
            # A limit of one byte: asyncio stops reading at once.
            writer.write(_UNREAD)
        await asyncio.Event().wait()
    finally:
        for writer in writers:
            writer.transport.abort()


async def _dribble(port: int, count: int, opening: bytes, then: bytes) -> None:
    async def one() -> None:
        connection: Connection | None = None
        try:
            while True:
                # Whoever is thrown out comes again.
                if connection is None or not connection.usable:
                    connection = await Connection.open("127.0.0.1", port)
                    connection.write(opening)
                connection.write(then)
                await asyncio.sleep(_PAUSE)
        finally:
            if connection is not None:
                connection.close()

    await asyncio.gather(*(one() for _ in range(count)))
