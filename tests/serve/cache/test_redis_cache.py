"""Against a real Redis that is killed, stopped, filled and misused."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from serve.breaker import Breaker, BreakerState
from serve.cache.embedding_cache import EmbeddingCache
from serve.cache.redis_cache import RedisCache
from serve.metrics import Metrics
from src.contracts.errors import ConfigError
from tests.serve.servers import RedisServer, redis_server

BUDGET = 0.02


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True)
def empty(server):
    with server.client as client:
        client.flushall()
        client.config_set("maxmemory", 0)


def unit(seed: int, dim: int = 48) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


class Tried:
    """The level in Redis, and what it counted."""

    def __init__(self, url: str, *, budget: float) -> None:
        self.metrics = Metrics()
        self.breaker = Breaker(clock=lambda: 20 * time.monotonic())  # Its pause is 50 ms.
        self.cache = RedisCache(url, budget=budget, ttl=60, breaker=self.breaker, metrics=self.metrics)

    def lookups(self, outcome: str) -> int:
        return int(self.metrics.cache_lookups.labels("redis", outcome)._value.get())

    def writes(self, outcome: str) -> int:
        return int(self.metrics.cache_writes.labels(outcome)._value.get())

    async def get(self, key: bytes) -> np.ndarray | None:
        """As a search asks; it must not take much longer than the budget, whatever Redis does."""
        started = time.perf_counter()
        found = await self.cache.get(key)
        assert time.perf_counter() - started < 0.5
        return found

    async def stored(self, key: bytes, vector: np.ndarray) -> None:
        before = self.writes("stored")
        self.cache.put(key, vector)
        await eventually(lambda: self.writes("stored") == before + 1)


# Large where no lateness is wanted: the machine that runs the tests may be busy.
@asynccontextmanager
async def tried(server: RedisServer, *, budget: float = 2.0) -> AsyncIterator[Tried]:
    made = Tried(server.url, budget=budget)
    async with made.cache.running():
        yield made


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def returns(cache: Tried, key: bytes) -> np.ndarray:
    async with asyncio.timeout(20):
        while (found := await cache.get(key)) is None:
            await asyncio.sleep(0.005)
    return found


def test_what_was_put_is_found_with_its_time_to_live(server):
    async def scenario() -> None:
        async with tried(server) as cache:
            assert await cache.get(b"k") is None
            await cache.stored(b"k", unit(1))
            np.testing.assert_allclose(await cache.get(b"k"), unit(1), atol=2e-4)
            assert (cache.lookups("miss"), cache.lookups("hit")) == (1, 1)
        with server.client as client:
            assert 50 < client.ttl(b"k") <= 60
            assert client.strlen(b"k") == 12 + 2 * 48

    asyncio.run(scenario())


def test_killed_and_started_again_without_a_restart_of_ours(server):
    async def scenario() -> None:
        async with tried(server) as cache:
            await cache.stored(b"k", unit(1))
            server.kill()
            for _ in range(10):
                assert await cache.get(b"k") is None
            assert cache.lookups("error") == 5
            assert cache.lookups("skipped") == 5
            assert cache.breaker.state is BreakerState.OPEN
            cache.cache.put(b"k", unit(2))
            await eventually(lambda: cache.writes("skipped") + cache.writes("error") == 1)
            server.start()
            async with asyncio.timeout(20):
                while cache.breaker.state is not BreakerState.CLOSED:
                    await cache.get(b"k")
                    await asyncio.sleep(0.005)
            await cache.stored(b"k", unit(3))
            np.testing.assert_allclose(await cache.get(b"k"), unit(3), atol=2e-4)

    asyncio.run(scenario())


def test_many_connections_survive_a_restart(server):
    """Connections of before the restart lie in the pool: none may cost a failure after it."""

    async def scenario() -> None:
        async with tried(server) as cache:
            await asyncio.gather(*(cache.get(b"k%d" % number) for number in range(30)))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await asyncio.gather(*(cache.get(b"k%d" % number) for number in range(30)))
            assert cache.lookups("error") == 0
            assert cache.breaker.state is BreakerState.CLOSED

    asyncio.run(scenario())


def test_stopped_redis_costs_the_budget_a_few_times_only(server):
    async def scenario() -> None:
        async with tried(server, budget=BUDGET) as cache:
            await cache.stored(b"k", unit(1))
            server.pause()
            try:
                for _ in range(5):
                    started = time.perf_counter()
                    assert await cache.get(b"k") is None
                    assert time.perf_counter() - started >= BUDGET * 0.9
                assert cache.breaker.state is BreakerState.OPEN
                assert await cache.get(b"k") is None
                assert cache.lookups("skipped") >= 1
            finally:
                server.resume()
            np.testing.assert_allclose(await returns(cache, b"k"), unit(1), atol=2e-4)

    asyncio.run(scenario())


def test_an_answer_that_came_too_late_is_nobody_elses(server):
    """A lookup that was given up leaves its answer on the wire; the next one must not read it."""

    async def scenario() -> None:
        async with tried(server, budget=0.05) as cache:
            for number in range(20):
                await cache.stored(b"k%d" % number, unit(number))
            for _ in range(3):
                server.pause()
                late = [asyncio.create_task(cache.get(b"k%d" % number)) for number in range(10)]
                await asyncio.gather(*late)
                server.resume()
                for number in range(10, 20):
                    np.testing.assert_allclose(await returns(cache, b"k%d" % number), unit(number), atol=2e-4)
            assert cache.lookups("foreign") == 0

    asyncio.run(scenario())


def test_cancelled_lookup_leaves_no_answer_behind(server):
    async def scenario() -> None:
        async with tried(server) as cache:
            for number in range(20):
                await cache.stored(b"k%d" % number, unit(number))
            for number in range(60):
                task = asyncio.create_task(cache.cache.get(b"k%d" % (number % 20)))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                other = (number + 1) % 20
                np.testing.assert_allclose(await cache.get(b"k%d" % other), unit(other), atol=2e-4)
            assert cache.lookups("foreign") == cache.lookups("error") == 0

    asyncio.run(scenario())


def test_somebody_elses_data_is_a_miss_that_is_overwritten(server):
    nan = np.full(48, np.nan, np.float32)

    async def scenario() -> None:
        async with tried(server) as cache:
            with server.client as client:
                client.rpush(b"list", b"a", b"b")
                client.hset(b"hash", "a", "b")
                client.set(b"short", b"x")
                client.set(b"long", b"x" * 100_000)
                client.set(b"number", 12)
            await cache.stored(b"nan", nan)
            await cache.stored(b"mine", unit(1))
            with server.client as client:
                client.copy(b"mine", b"copied")
            keys = (b"list", b"hash", b"short", b"long", b"number", b"nan", b"copied")
            for key in keys:
                assert await cache.get(key) is None
            assert cache.lookups("foreign") == len(keys)
            assert cache.breaker.state is BreakerState.CLOSED
            await cache.stored(b"list", unit(2))
            np.testing.assert_allclose(await cache.get(b"list"), unit(2), atol=2e-4)

    asyncio.run(scenario())


def test_full_redis_refuses_writes_and_is_still_read(server):
    async def scenario() -> None:
        async with tried(server) as cache:
            await cache.stored(b"k", unit(1))
            with server.client as client:
                client.config_set("maxmemory-policy", "noeviction")
                client.config_set("maxmemory", 1)
            for number in range(30):
                cache.cache.put(b"n%d" % number, unit(number))
            await eventually(lambda: cache.writes("refused") == 30)
            assert cache.breaker.state is BreakerState.CLOSED
            np.testing.assert_allclose(await cache.get(b"k"), unit(1), atol=2e-4)
            with server.client as client:
                client.config_set("maxmemory", 0)
            await cache.stored(b"n", unit(3))

    asyncio.run(scenario())


def test_writes_wait_for_nothing_and_are_dropped_when_too_many(server):
    async def scenario() -> None:
        async with tried(server) as cache:
            server.pause()
            try:
                started = time.perf_counter()
                for number in range(1000):
                    cache.cache.put(b"k%d" % number, unit(0))
                assert time.perf_counter() - started < 0.5
                assert cache.writes("dropped") == 1000 - 256
            finally:
                server.resume()
            await eventually(lambda: cache.writes("stored") + cache.writes("error") + cache.writes("skipped") == 256)

    asyncio.run(scenario())


def test_server_that_speaks_another_protocol(server):
    async def scenario() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        other = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        cache = Tried(f"redis://127.0.0.1:{port}/0", budget=2.0)
        async with other, cache.cache.running():
            for _ in range(6):
                assert await cache.get(b"k") is None
            assert cache.lookups("error") == 5
            assert cache.breaker.state is BreakerState.OPEN

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://h:1", "redis://h:notaport/0", "redis://:secret@h:x/0"])
def test_bad_url_is_refused_without_its_password(url):
    with pytest.raises(ConfigError, match="LOOKALIKE_REDIS_URL") as caught:
        Tried(url, budget=1.0)
    assert "secret" not in str(caught.value)


def test_two_levels(server):
    async def scenario() -> None:
        async with tried(server) as made:
            cache = EmbeddingCache(max_bytes=10_000, redis=made.cache, metrics=made.metrics)
            assert await cache.get(b"k") is None
            cache.put(b"k", unit(1))
            np.testing.assert_array_equal(await cache.get(b"k"), unit(1))
            await eventually(lambda: made.writes("stored") == 1)
            # Another process finds in Redis what this one embedded, and the next time in itself.
            second = EmbeddingCache(max_bytes=10_000, redis=made.cache, metrics=made.metrics)
            first_found = await second.get(b"k")
            np.testing.assert_allclose(first_found, unit(1), atol=2e-4)
            assert made.lookups("hit") == 1
            np.testing.assert_array_equal(await second.get(b"k"), first_found)
            assert made.lookups("hit") == 1
            local = [made.metrics.cache_lookups.labels("local", name)._value.get() for name in ("hit", "miss")]
            assert local == [2, 2]

    asyncio.run(scenario())
