"""Filters on price and stock against a plain reading of everything, while the shop writes."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from serve.bundle.engine import Engine
from serve.bundle.filters import Filters
from serve.observe.metrics import Metrics
from serve.observe.store_metrics import StoreMetrics
from serve.path.asked import Asked
from serve.path.current_items import CurrentItems, Found
from serve.path.stages import Stages
from sqlalchemy import text

from serve.breaker import Breaker
from serve.schemas import Result
from serve.store.connection import store_url
from serve.store.store import Store
from tests.search.small_bundle import Shop

pytestmark = pytest.mark.anyio

START = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(shop: Shop) -> Engine:
    return Engine.open(shop.root, encoder_threads=1)


@pytest.fixture
def store(engine: Engine) -> Iterator[Store]:
    store = Store(
        store_url("sqlite://"),
        budget=5.0,
        breaker=Breaker(),
        words_breaker=Breaker(),
        metrics=StoreMetrics(CollectorRegistry()),
    )
    store.load(engine.bundle)
    yield store
    store.close()


class Search:
    """Searches for one vector, and counts."""

    def __init__(self, engine: Engine, vector: np.ndarray) -> None:
        self.engine = engine
        self.vector = vector
        self.taken: list[int] = []

    async def __call__(self, k: int, filters: Filters, *, offset: int, dedupe: str) -> list[Result]:
        self.taken.append(k)
        found = self.engine.search(self.vector, k, filters, offset=offset, dedupe=dedupe)
        return self.engine.described(found, offset=offset)


@pytest.fixture
def search(engine: Engine, shop: Shop) -> Search:
    return Search(engine, shop.vectors[17])


def stages() -> Stages:
    return Stages(Metrics())


async def all_items(search: Search) -> list[Result]:
    return await search(1000, Filters(), offset=0, dedupe="item")


def names(found: Found | list[Result]) -> list[str]:
    return [result.item_id for result in (found.results if isinstance(found, Found) else found)]


def everything_by(values: dict[str, dict], ranked: list[Result], holds: Callable[[dict], bool]) -> list[str]:
    return [result.item_id for result in ranked if holds(values[result.item_id])]


async def test_results_show_what_holds_now(store, search):
    first = (await all_items(search))[0]
    store.write([{"item_id": first.item_id, "price": 1234.5, "in_stock": False}], updated_at=START)
    found = await CurrentItems(store).found(search, Asked(k=3, filters=Filters()), stages())
    assert (found.results[0].price, found.results[0].in_stock) == (1234.5, False)
    assert found.fresh
    assert search.taken[1:] == [3]


async def test_sold_out_a_moment_ago_is_not_in_stock_and_others_take_its_place(store, search):
    asked = Asked(k=5, filters=Filters(in_stock=True))
    current = CurrentItems(store)
    before = names(await current.found(search, asked, stages()))
    store.write([{"item_id": name, "in_stock": False} for name in before[:3]], updated_at=START)
    after = names(await current.found(search, asked, stages()))
    assert len(after) == 5
    assert after[:2] == before[3:]
    assert not {*before[:3]} & {*after}
    store.write([{"item_id": before[0], "in_stock": True}], updated_at=START + timedelta(seconds=1))
    assert names(await current.found(search, asked, stages()))[0] == before[0]


@pytest.mark.parametrize("seed", range(6))
async def test_any_filter_after_any_writes_gives_what_reading_everything_gives(store, search, seed):
    rng = random.Random(seed)
    ranked = await all_items(search)
    values = {result.item_id: {"price": result.price, "in_stock": result.in_stock} for result in ranked}
    current = CurrentItems(store)
    for step in range(12):
        for name in rng.sample(list(values), 8):
            told = {"price": rng.choice([None, round(200 * rng.random(), 2)]), "in_stock": rng.choice([True, False])}
            store.write([{"item_id": name, **told}], updated_at=START + timedelta(seconds=step))
            values[name] = told
        low = rng.choice([None, 20.0, 90.0])
        high = rng.choice([None, 95.0, 150.0])
        in_stock = rng.choice([True, False, None])
        k, offset = rng.choice([1, 5, 30]), rng.choice([0, 3])
        asked = Asked(k=k, offset=offset, filters=Filters(price_min=low, price_max=high, in_stock=in_stock))

        def holds(row: dict, low: float | None = low, high: float | None = high, in_stock: bool | None = in_stock):
            if in_stock is not None and row["in_stock"] is not in_stock:
                return False
            if low is None and high is None:
                return True
            price = row["price"]
            return price is not None and (low is None or price >= low) and (high is None or price <= high)

        found = await current.found(search, asked, stages())
        assert names(found) == everything_by(values, ranked, holds)[offset : offset + k]
        assert [result.rank for result in found.results] == list(range(1 + offset, 1 + offset + len(found.results)))
        assert found.fresh


async def test_beyond_the_nearest_those_are_found_that_met_the_filter_before(store, search, monkeypatch):
    """With a large catalogue the nearest are a small part of it."""
    monkeypatch.setattr("serve.path.current_items._NEAREST", 4)
    asked = Asked(k=2, filters=Filters(price_min=150.0))
    before = names(await CurrentItems(store).found(search, asked, stages()))
    assert len(before) == 2
    assert len(search.taken) == 2
    store.write([{"item_id": name, "price": 1.0} for name in before], updated_at=START)
    after = await CurrentItems(store).found(search, asked, stages())
    assert len(after.results) == 2
    assert not {*names(after)} & {*before}


async def test_widening_is_bounded(store, search, monkeypatch):
    monkeypatch.setattr("serve.path.current_items._NEAREST", 2)
    monkeypatch.setattr("serve.path.current_items._MOST", 16)
    everything = names(await all_items(search))
    store.write([{"item_id": name, "in_stock": False} for name in everything], updated_at=START)
    search.taken.clear()
    found = await CurrentItems(store).found(search, Asked(k=1, filters=Filters(in_stock=True)), stages())
    assert found.results == []
    assert max(search.taken) <= 16
    assert len(search.taken) < 6


async def test_one_for_each_parent_takes_the_variant_that_is_there(store, search):
    asked = Asked(k=10, filters=Filters(in_stock=True), dedupe="parent")
    current = CurrentItems(store)
    found = (await current.found(search, asked, stages())).results
    parents = [result.parent_id for result in found]
    assert len(set(parents)) == len(parents)
    siblings = {one.parent_id: one.item_id for one in found}
    other = next(
        one for one in await all_items(search)
        if one.parent_id in siblings and one.item_id != siblings[one.parent_id]
    )  # fmt: skip
    store.write(
        [{"item_id": other.item_id, "in_stock": True}, {"item_id": siblings[other.parent_id], "in_stock": False}],
        updated_at=START,
    )
    assert other.item_id in names(await current.found(search, asked, stages()))


async def test_without_an_answer_of_the_store_the_bundle_counts_and_the_answer_says_so(engine, search):
    dead = Store(
        store_url("postgresql://127.0.0.1:1/x"), budget=1.0, breaker=Breaker(), words_breaker=Breaker(),
        metrics=StoreMetrics(CollectorRegistry()),
    )  # fmt: skip
    for filters in (Filters(), Filters(in_stock=True)):
        found = await CurrentItems(dead).found(search, Asked(k=5, filters=filters), stages())
        assert not found.fresh
        assert found.results == await search(5, filters, offset=0, dedupe="item")
    dead.close()


async def test_an_item_that_the_store_does_not_know_is_shown_as_the_bundle_has_it(store, search):
    first = (await all_items(search))[0]
    with store._engine.begin() as connection:
        connection.execute(text("DELETE FROM items WHERE item_id = :name"), {"name": first.item_id})
    found = await CurrentItems(store).found(search, Asked(k=2, filters=Filters()), stages())
    assert found.results[0].price == first.price
    assert not found.fresh
