"""Queries within a budget, to databases that work, are killed, are stopped, and are started again."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from serve.breaker import Breaker, BreakerState
from serve.metrics import Metrics
from serve.store.connection import connect
from serve.store.store import CurrentValues, Store, StoreUnavailableError
from tests.search.small_bundle import Shop
from tests.serve.servers import PostgresServer
from tests.serve.shop_database import items_of, make_table, write

NAME = "sku/007 ö"


class Tried(Store):
    """A store, its breaker and what it counted."""

    def __init__(self, url: str, *, budget: float = 5.0) -> None:
        self.counts = Metrics()
        self.breaker = Breaker()
        super().__init__(url, budget=budget, breaker=self.breaker, metrics=self.counts)

    def counted(self, outcome: str) -> int:
        return int(self.counts.store_queries.labels(outcome)._value.get())


@contextmanager
def tried(url: str, **settings: float) -> Iterator[Tried]:
    store = Tried(url, **settings)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def store(url: str) -> Iterator[Tried]:
    with tried(url) as store:
        yield store


@pytest.fixture
def server(postgres: PostgresServer, shop: Shop) -> PostgresServer:
    make_table(postgres.url, shop)
    return postgres


async def returns(store: Tried, name: str) -> CurrentValues:
    async with asyncio.timeout(20):
        while True:
            try:
                return (await store.current([name]))[name]
            except StoreUnavailableError:
                await asyncio.sleep(0.01)


def test_values_are_those_of_the_table_at_each_query(store, url, shop):
    items = items_of(shop)
    names = list(items)
    found = asyncio.run(store.current([*names, "unknown", "' OR 1=1 --"]))
    assert found == {name: CurrentValues(**values) for name, values in items.items()}
    write(url, names[0], price=7.5, in_stock=False)
    assert asyncio.run(store.current([names[0]])) == {names[0]: CurrentValues(7.5, False)}
    assert asyncio.run(store.current([])) == {}
    assert store.counted("answered") == 2


def test_price_that_is_no_number_is_null(store, url):
    write(url, NAME, price=float("inf"))
    assert asyncio.run(store.current([NAME]))[NAME].price is None


def test_write_changes_what_is_given_and_adds_an_unknown_item(store, shop):
    async def ask() -> None:
        await store.write(NAME, {"price": 3.5})
        await store.write(NAME, {"category": "shoes"})
        await store.write("new", {"price": None, "in_stock": True, "brand": "acme"})
        found = await store.current([NAME, "new"])
        assert found == {NAME: CurrentValues(3.5, items_of(shop)[NAME]["in_stock"]), "new": CurrentValues(None, True)}

    asyncio.run(ask())


def test_writes_to_a_dead_database_are_errors():
    async def ask(store: Tried) -> None:
        with pytest.raises(StoreUnavailableError):
            await store.write(NAME, {"price": 3.5})

    with tried("postgresql://127.0.0.1:1/x") as store:
        asyncio.run(ask(store))


def test_value_that_a_database_cannot_hold_is_no_failure_of_it(store):
    async def ask() -> None:
        for _ in range(8):
            try:
                assert await store.current(["a\0b"]) == {}
            except StoreUnavailableError:
                continue
        assert store.breaker.state is BreakerState.CLOSED

    asyncio.run(ask())


def test_killed_and_started_again(server):
    async def scenario(store: Tried) -> None:
        await asyncio.gather(*(store.current([NAME]) for _ in range(8)))
        server.kill()
        for _ in range(8):
            with pytest.raises(StoreUnavailableError):
                await store.current([NAME])
        assert store.breaker.state is BreakerState.OPEN
        assert (store.counted("error"), store.counted("skipped")) == (5, 3)
        server.start()
        assert (await returns(store, NAME)).price is not None
        assert store.breaker.state is BreakerState.CLOSED

    with tried(server.url) as store:
        asyncio.run(scenario(store))


def test_restart_between_two_queries_costs_no_answer(server):
    async def scenario(store: Tried) -> None:
        await asyncio.gather(*(store.current([NAME]) for _ in range(8)))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await asyncio.gather(*(store.current([NAME]) for _ in range(8)))
        assert store.counted("answered") == 16

    with tried(server.url) as store:
        asyncio.run(scenario(store))


def test_stopped_database_costs_the_budget_a_few_times_only(server):
    async def scenario(store: Tried) -> None:
        await store.current([NAME])
        server.pause()
        try:
            for _ in range(10):
                started = time.perf_counter()
                with pytest.raises(StoreUnavailableError):
                    await store.current([NAME])
                assert time.perf_counter() - started < 1
            assert (store.counted("late"), store.counted("skipped")) == (5, 5)
        finally:
            server.resume()
        assert (await returns(store, NAME)).price is not None

    with tried(server.url, budget=0.2) as store:
        asyncio.run(scenario(store))


def test_transaction_of_the_shop_does_not_make_a_search_wait(tmp_path: Path, shop: Shop):
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    make_table(url, shop)
    engine = connect(url, threads=1)
    with tried(url, budget=1.0) as store, engine.connect() as connection:
        connection.execute(text("PRAGMA journal_mode = WAL"))
        connection.execute(text("BEGIN"))
        connection.execute(text("UPDATE items SET price = 7"))
        assert asyncio.run(store.current([NAME]))[NAME].price == items_of(shop)[NAME]["price"]
        connection.execute(text("COMMIT"))
        assert asyncio.run(store.current([NAME]))[NAME].price == 7
    engine.dispose()


def test_database_without_the_table_is_unavailable_not_fatal(tmp_path):
    with tried(f"sqlite:///{tmp_path / 'empty.sqlite'}") as store:
        with pytest.raises(StoreUnavailableError):
            asyncio.run(store.current(["x"]))
        (tmp_path / "empty.sqlite").write_bytes(b"no database at all" * 100)
    with tried(f"sqlite:///{tmp_path / 'empty.sqlite'}") as store, pytest.raises(StoreUnavailableError):
        asyncio.run(store.current(["x"]))
