"""The load generator against servers that behave in known ways."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from benchmarks.serving.connection import Answer
from benchmarks.serving.figures import percentile_ms, summarise
from benchmarks.serving.load import Outcome, Target, closed_load, open_load, run

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def against(serve: Serve, load: Callable[[Target], Awaitable[list[Outcome]]], *, patience: float = 5.0):
    """Outcomes of a load on a server, and how many connections it took."""
    connections = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async def both() -> list[Outcome]:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        async with server, Target(server.sockets[0].getsockname()[1], lambda number: GET, patience=patience) as target:
            return await load(target)

    return run(both()), connections


async def _request(reader: asyncio.StreamReader) -> bool:
    try:
        await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return False
    return True


async def friendly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await _request(reader):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: v\r\n\r\nok")


def test_a_closed_loop_keeps_a_connection_a_user_and_counts_each_request_once() -> None:
    outcomes, connections = against(friendly, lambda target: closed_load(target, users=3, seconds=0.2, first=10))
    assert connections == 3
    assert sorted(one.number for one in outcomes) == list(range(10, 10 + len(outcomes)))
    assert {(one.status, one.answer.body, one.answer.headers["x-name"]) for one in outcomes} == {(200, b"ok", "v")}


def test_an_open_loop_sends_at_the_rate_it_is_told() -> None:
    outcomes, _ = against(friendly, lambda target: open_load(target, rate=400, seconds=1))
    assert len(outcomes) == pytest.approx(400, abs=100)  # Five standard deviations.
    gaps = np.diff(sorted(one.due for one in outcomes))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.3)  # Exponential.


def test_a_stall_counts_for_the_requests_that_were_due_meanwhile() -> None:
    stall = 0.4

    async def one_at_a_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await _request(reader):
            time.sleep(stall if not answered else 0)  # The client's loop, too.
            answered.append(1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    answered: list[int] = []
    outcomes, _ = against(one_at_a_time, lambda target: open_load(target, rate=100, seconds=0.4, poisson=False))
    late = [one.seconds for one in outcomes]
    # The second was due 10 ms after the first, and so on: each is late by what was left of the stall.
    assert sum(late) > len(late) * stall / 3
    assert sum(one.done - one.sent for one in outcomes) < sum(late) / 2


def test_what_gets_no_answer_is_counted_as_such() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"nonsense\r\n\r\n")

    for serve, why in ((half, "closed before"), (silent, "no answer within 0.2 s"), (nonsense, "no HTTP")):
        (one,), _ = against(serve, lambda target: closed_load(target, users=1, seconds=0.01), patience=0.2)
        assert one.status == 0
        assert why in one.failure


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    outcomes, connections = against(once, lambda target: closed_load(target, users=1, seconds=0.1))
    assert {one.status for one in outcomes} == {503}
    assert connections == len(outcomes)


def test_the_figures_of_a_load() -> None:
    def outcome(status: int, seconds: float) -> Outcome:
        return Outcome(0, 1.0, 1.5, 1.0 + seconds, Answer(status, b"", {}) if status else None)

    found = summarise([outcome(200, 0.1), outcome(200, 2.0), outcome(503, 0.001), outcome(0, 4.0)])
    assert found.rate == pytest.approx(2 / 4.0)
    assert found.p50_ms == pytest.approx(2000)
    assert found.statuses == {200: 2, 503: 1, 0: 1}
    assert found.errors == 2
    assert np.isnan(percentile_ms([], 99))
