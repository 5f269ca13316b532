"""Questions within a budget, to stores that are well, killed, stopped and started again."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from serve.breaker import Breaker, BreakerState
from serve.observe.store_metrics import StoreMetrics
from serve.store.connection import store_url
from serve.store.store import CurrentValues, Store, StoreUnavailableError
from serve.store.wire_dialect import WireDialect
from src.contracts.errors import ConfigError
from src.index.filters import AnyOf, Between
from tests.serve.small_bundle import Shop
from tests.serve.store.conftest import items_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Tried(Store):
    def __init__(self, url: str, *, budget: float = 5.0) -> None:
        self.registry = CollectorRegistry()
        self.breaker, self.words_breaker = Breaker(failures=3, pause=0.05), Breaker(failures=3, pause=60)
        super().__init__(
            store_url(url), budget=budget, breaker=self.breaker, words_breaker=self.words_breaker,
            metrics=StoreMetrics(self.registry),
        )  # fmt: skip

    def counted(self, outcome: str, kind: str = "current") -> int:
        labels = {"kind": kind, "outcome": outcome}
        return int(self.registry.get_sample_value("lookalike_store_queries_total", labels) or 0)


@contextmanager
def tried(url: str, **settings: float) -> Iterator[Tried]:
    store = Tried(url, **settings)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def store(url, bundle) -> Iterator[Tried]:
    with tried(url) as store:
        store.load(bundle)
        yield store


async def returns(store: Tried, name: str) -> CurrentValues:
    async with asyncio.timeout(20):
        while True:
            try:
                return (await store.current([name]))[name]
            except StoreUnavailableError:
                await asyncio.sleep(0.01)


def expected(shop: Shop, holds) -> set[str]:
    return {name for name, row in items_of(shop).items() if holds(row)}


def test_current_values_are_those_of_the_catalogue_until_somebody_writes(store, shop):
    items = items_of(shop)
    names = list(items)
    found = asyncio.run(store.current([*names, "unknown", "' OR 1=1 --"]))
    assert found == {name: CurrentValues(row["price"], row["in_stock"]) for name, row in items.items()}
    store.write([{"item_id": names[0], "in_stock": False}, {"item_id": "new", "price": 3.0}], updated_at=NOW)
    found = asyncio.run(store.current([names[0], "new"]))
    assert found == {names[0]: CurrentValues(items[names[0]]["price"], False), "new": CurrentValues(3.0, None)}
    assert asyncio.run(store.current([])) == {}


def test_what_is_older_does_not_overwrite(store):
    name = "sku/005 ö"
    store.write([{"item_id": name, "price": 2.0}], updated_at=NOW)
    store.write([{"item_id": name, "price": 1.0}], updated_at=NOW - timedelta(seconds=1))
    assert asyncio.run(store.current([name]))[name].price == 2.0
    elsewhere = NOW.astimezone(datetime.strptime("+0900", "%z").tzinfo) + timedelta(seconds=1)
    store.write([{"item_id": name, "price": 3.0}], updated_at=elsewhere)
    assert asyncio.run(store.current([name]))[name].price == 3.0


def test_prices_that_are_no_numbers_are_none(store, url):
    store.write([{"item_id": "x", "price": float("inf")}], updated_at=NOW)
    assert asyncio.run(store.current(["x"]))["x"].price is None


def test_words(store, shop):
    def found(words: str, *conditions, limit: int = 100) -> set[str]:
        return set(asyncio.run(store.by_words(words, conditions, limit)))

    assert found("acme") == expected(shop, lambda row: row["brand"] == "acme")
    assert found("ACME  red") == expected(shop, lambda row: row["brand"] == "acme" and row["color"] == "red")
    assert found("möb") == found("Möbel") == expected(shop, lambda row: row["category"] == "Möbel & more")
    stocked = AnyOf("in_stock", frozenset({True}))
    assert found("acme", stocked) == expected(shop, lambda row: row["brand"] == "acme" and row["in_stock"])
    cheap = Between("price", None, 50.0)
    assert found("acme", cheap) == expected(
        shop, lambda row: row["brand"] == "acme" and row["price"] is not None and row["price"] <= 50
    )
    assert found("nothinglikethis") == set()
    assert len(found("acme", limit=3)) == 3


@pytest.mark.parametrize(
    "words", ["", "%", "_", "***", '"', "NEAR(", "acme OR nothing", "\\", "a" * 5000, "'; DROP TABLE items"]
)
def test_words_of_strangers_are_words(store, words):
    found = asyncio.run(store.by_words(words, [], 100))
    assert found == []
    assert asyncio.run(store.current(["sku/005 ö"]))


def test_words_follow_what_is_written(store, bundle):
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE items SET text = 'purple umbrella' WHERE item_id = 'sku/005 ö'"))
        connection.execute(text("DELETE FROM items WHERE item_id = 'sku/004 ö'"))
    assert asyncio.run(store.by_words("umbrella", [], 10)) == ["sku/005 ö"]
    assert not {"sku/004 ö", "sku/005 ö"} & set(asyncio.run(store.by_words("acme", [], 100)))


def test_listed_begins_with_what_is_in_stock(store, shop):
    names = asyncio.run(store.listed([AnyOf("category", frozenset({"bags"}))], 100))
    assert set(names) == expected(shop, lambda row: row["category"] == "bags")
    stock = {row["item_id"]: row["in_stock"] for row in shop.rows()}
    flags = [stock[name] is True for name in names]
    assert flags == sorted(flags, reverse=True)


def test_killed_and_started_again(postgres, bundle):
    postgres.execute("DROP TABLE IF EXISTS items, load_state")
    name = "sku/005 ö"

    async def scenario(store: Tried) -> None:
        await asyncio.gather(*(store.current([name]) for _ in range(8)))
        postgres.kill()
        for _ in range(6):
            with pytest.raises(StoreUnavailableError):
                await store.current([name])
        assert store.breaker.state is BreakerState.OPEN
        assert store.counted("error") == store.counted("skipped") == 3
        postgres.start()
        assert (await returns(store, name)).price is not None
        assert store.breaker.state is BreakerState.CLOSED

    with tried(postgres.url) as store:
        store.load(bundle)
        asyncio.run(scenario(store))


def test_a_restart_between_two_questions_costs_no_answer(postgres, bundle):
    postgres.execute("DROP TABLE IF EXISTS items, load_state")

    async def scenario(store: Tried) -> None:
        await asyncio.gather(*(store.current(["sku/005 ö"]) for _ in range(8)))
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.start)
        await asyncio.gather(*(store.current(["sku/005 ö"]) for _ in range(8)))
        assert store.counted("answered") == 16

    with tried(postgres.url) as store:
        store.load(bundle)
        asyncio.run(scenario(store))


def test_a_stopped_database_costs_the_budget_a_few_times_only(postgres, bundle):
    postgres.execute("DROP TABLE IF EXISTS items, load_state")

    async def scenario(store: Tried) -> None:
        await store.current(["sku/005 ö"])
        postgres.pause()
        try:
            for _ in range(10):
                started = time.perf_counter()
                with pytest.raises(StoreUnavailableError):
                    await store.current(["sku/005 ö"])
                assert time.perf_counter() - started < 1
            assert store.counted("late") == 3
            assert store.counted("skipped") == 7
        finally:
            postgres.resume()
        assert (await returns(store, "sku/005 ö")).price is not None

    with tried(postgres.url) as loaded:
        loaded.load(bundle)
    with tried(postgres.url, budget=0.2) as store:
        asyncio.run(scenario(store))


def test_a_writer_does_not_make_readers_of_a_file_wait(tmp_path, bundle):
    with tried(f"sqlite:///{tmp_path / 'store.sqlite'}", budget=1.0) as store:
        store.load(bundle)
        with store._engine.begin() as connection:
            connection.execute(text("UPDATE items SET price = 7"))
            found = asyncio.run(store.current(["sku/005 ö"]))["sku/005 ö"]
            assert found.price != 7
        assert asyncio.run(store.current(["sku/005 ö"]))["sku/005 ö"].price == 7


def test_a_file_is_not_asked_again_until_somebody_has_written(tmp_path, bundle):
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    name = "sku/005 ö"
    with tried(url) as store, tried(url) as shop:
        store.load(bundle)
        before = asyncio.run(store.current([name, "unknown"]))
        assert asyncio.run(store.current(["unknown", name])) == before
        assert (store.counted("answered"), store.counted("kept")) == (1, 1)
        shop.write([{"item_id": name, "price": 7.5}], updated_at=NOW)
        assert asyncio.run(store.current([name]))[name].price == 7.5
        store.write([{"item_id": name, "price": 8.5}], updated_at=NOW + timedelta(seconds=1))
        assert asyncio.run(store.current([name]))[name].price == 8.5
        assert (store.counted("answered"), store.counted("kept")) == (3, 1)


def test_a_store_without_tables_is_unavailable_not_fatal(tmp_path):
    with tried(f"sqlite:///{tmp_path / 'empty.sqlite'}") as store:
        with pytest.raises(StoreUnavailableError):
            asyncio.run(store.current(["x"]))
        (tmp_path / "empty.sqlite").write_bytes(b"no database at all" * 100)
    with tried(f"sqlite:///{tmp_path / 'empty.sqlite'}") as store, pytest.raises(StoreUnavailableError):
        asyncio.run(store.current(["x"]))


@pytest.mark.parametrize(
    "url", ["", "nothing", "mysql://me:secret@h/x", "http://secret", "postgresql://me:secret@h:port/x"]
)
def test_bad_urls_are_refused_without_their_password(url):
    with pytest.raises(ConfigError, match="store_url") as caught:
        store_url(url)
    assert "secret" not in str(caught.value)


def test_cockroachdb_is_taken_for_what_it_speaks():
    class Answer:
        def __init__(self, version: str) -> None:
            self.version = version

        def exec_driver_sql(self, _: str) -> "Answer":
            return self

        def scalar(self) -> str:
            return self.version

    dialect = WireDialect()
    assert dialect._get_server_version_info(Answer("CockroachDB CCL v24.1.2 (x86_64-pc-linux-gnu)")) == (13,)
    assert dialect._get_server_version_info(Answer("PostgreSQL 15.16 (Debian)")) == (15, 16)
    assert store_url("cockroachdb://h/x").drivername == store_url("postgresql+psycopg://h/x").drivername


def test_searches_by_words_that_fail_leave_prices_alone(store, shop):
    store._words = store._words._replace(budget=0.0)
    name = next(iter(items_of(shop)))

    async def ask() -> None:
        for _ in range(5):
            with pytest.raises(StoreUnavailableError):
                await store.by_words("acme", [], 5)
        assert store.words_breaker.state is BreakerState.OPEN
        assert name in await store.current([name])

    asyncio.run(ask())


def test_a_value_that_a_database_cannot_hold_is_no_failure_of_it(store):
    async def ask() -> None:
        for _ in range(5):
            with suppress(StoreUnavailableError):
                assert await store.listed([AnyOf("category", frozenset({"a\0b"}))], 5) == []
        assert store.words_breaker.state is BreakerState.CLOSED

    asyncio.run(ask())
