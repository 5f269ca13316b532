"""A load generator: a closed loop of users, or an open one of Poisson arrivals.

An open loop's latencies count from when a request was due, not from when it could be sent: a server that stalls makes
the requests due meanwhile late, too (Gil Tene's "coordinated omission").
"""

import asyncio
import itertools
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import uvloop

from benchmarks.serving.connection import Answer, Connection
from benchmarks.serving.photos import Build

__all__ = ["Outcome", "Target", "closed_load", "open_load", "run"]

T = TypeVar("T")

_AFTER_FAILURE = 0.05
"""Seconds that a user waits after no answer: else a dead server would be asked as fast as the client can."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request.

    Attributes:
        number: which one.
        due: when it was to be sent, on `time.perf_counter`'s clock.
        sent: when it was sent.
        done: when the answer was whole, or was given up.
        answer: None where there is none.
        failure: why there is none.
    """

    number: int
    due: float
    sent: float
    done: float
    answer: Answer | None
    failure: str = ""

    @property
    def status(self) -> int:
        """HTTP status; 0 without an answer."""
        return self.answer.status if self.answer else 0

    @property
    def seconds(self) -> float:
        """From when it was due."""
        return self.done - self.due

    def without_body(self) -> "Outcome":
        """The same, to be kept in thousands."""
        return replace(self, answer=self.answer and replace(self.answer, body=b""))


class Target:
    """A server and its idle connections. As many are opened as requests overlap."""

    def __init__(self, port: int, build: Build, *, host: str = "127.0.0.1", patience: float = 10.0) -> None:
        """Connect to nothing yet.

        Args:
            port: where the server listens.
            build: gives each request's bytes.
            host: its address.
            patience: seconds until a request is given up.
        """
        self._host, self._port = host, port
        self._build, self._patience = build, patience
        self._idle: list[Connection] = []

    async def ask(self, number: int, due: float) -> Outcome:
        """Send request `number` now, whatever becomes of it."""
        request = self._build(number)
        sent = time.perf_counter()
        answer, failure, connection = None, "", None
        try:
            async with asyncio.timeout(self._patience):
                connection = await self._connection()
                answer = await connection.ask(request)
        except TimeoutError:
            failure = f"no answer within {self._patience:g} s"
        except OSError as error:
            failure = f"{type(error).__name__}: {error}"
        finally:  # When the one who asks is cancelled as well.
            if connection is not None:
                if answer is not None and connection.usable:
                    self._idle.append(connection)
                else:
                    connection.close()
        return Outcome(number, due, sent, time.perf_counter(), answer, failure)

    async def __aenter__(self) -> "Target":
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)  # They are told so in the loop's next turn, and it may be the last.

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return await Connection.open(self._host, self._port)


async def closed_load(target: Target, *, users: int, seconds: float, first: int = 0) -> list[Outcome]:
    """Users that each send their next request when the last is answered.

    Args:
        target: the server.
        users: requests at once.
        seconds: no request is sent after them; those that run are waited for.
        first: number of the first request.
    """
    outcomes: list[Outcome] = []
    numbers = itertools.count(first)
    end = time.perf_counter() + seconds

    async def user() -> None:
        while (now := time.perf_counter()) < end:
            outcome = await target.ask(next(numbers), now)
            outcomes.append(outcome)
            if not outcome.status:
                await asyncio.sleep(_AFTER_FAILURE)

    await asyncio.gather(*(user() for _ in range(users)))
    return outcomes


async def open_load(
    target: Target, *, rate: float, seconds: float, first: int = 0, seed: int = 0, poisson: bool = True
) -> list[Outcome]:
    """Requests that come when they come.

    Args:
        target: the server.
        rate: requests a second, on average.
        seconds: no request is due after them; those that run are waited for.
        first: number of the first request.
        seed: of the arrivals.
        poisson: False sends them evenly.
    """
    rng = np.random.default_rng(seed)
    running: list[asyncio.Task[Outcome]] = []
    start = due = time.perf_counter()
    for number in itertools.count(first):
        due += float(rng.exponential(1 / rate)) if poisson else 1 / rate
        if due > start + seconds:
            break
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        running.append(asyncio.ensure_future(target.ask(number, due)))
    return list(await asyncio.gather(*running))


def run(load: Coroutine[Any, Any, T]) -> T:
    """Run a load on an event loop that takes little of the cores it measures."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load)
