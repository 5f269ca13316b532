"""Filters on price and stock against reading every item, while the shop writes."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from serve.breaker import Breaker
from serve.metrics import Metrics
from serve.pipeline import current as current_module
from serve.pipeline.current import CurrentHits, Found
from serve.pipeline.query import Query
from serve.stages import Stages
from serve.store.store import Store
from src.contracts.bundle import open_bundle
from src.index.filters import AnyOf, Between, Condition
from src.search.gallery import Gallery, Hit
from tests.search.small_bundle import Shop
from tests.serve.shop_database import execute, make_table, write

pytestmark = pytest.mark.anyio

STOCKED = AnyOf("in_stock", frozenset({True}))


@pytest.fixture(scope="module")
def gallery(shop: Shop) -> Gallery:
    return Gallery.open(open_bundle(shop.root))


@pytest.fixture
def url(shop: Shop, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    make_table(url, shop)
    return url


@pytest.fixture
def current(url: str) -> Iterator[CurrentHits]:
    store = Store(url, budget=5.0, breaker=Breaker(), metrics=Metrics())
    yield CurrentHits(store)
    store.close()


class Search:
    """Searches for one vector, and notes how many results were wanted."""

    def __init__(self, gallery: Gallery, vector: np.ndarray) -> None:
        self.gallery = gallery
        self.vector = vector
        self.taken: list[int] = []

    async def __call__(self, k: int, filters: Sequence[Condition], offset: int, dedupe: str) -> list[Hit]:
        self.taken.append(k)
        return self.gallery.search(self.vector, k, filters=filters, offset=offset, dedupe=dedupe)

    def everything(self) -> list[Hit]:
        return self.gallery.search(self.vector, 1000)


@pytest.fixture
def search(gallery: Gallery, shop: Shop) -> Search:
    return Search(gallery, shop.vectors[17])


def stages() -> Stages:
    return Stages(Metrics())


def names(found: Found | list[Hit]) -> list[str]:
    return [hit.row["item_id"] for hit in (found.hits if isinstance(found, Found) else found)]


def price(low: float | None, high: float | None) -> list[Condition]:
    return [] if low is None and high is None else [Between("price", low, high)]


async def test_results_show_the_current_values(current, search, url):
    first = names(search.everything())[0]
    write(url, first, price=1234.5, in_stock=False)
    found = await current.found(search, Query(k=3), stages())
    assert (found.hits[0].row["price"], found.hits[0].row["in_stock"]) == (1234.5, False)
    assert found.fresh
    assert search.taken == [3]
    assert search.everything()[0].row["price"] != 1234.5, "the bundle's rows are shared, and stay as they are"


async def test_item_that_is_sold_out_by_now_is_not_in_stock_and_another_takes_its_place(current, search, url):
    query = Query(k=5, filters=[STOCKED])
    before = names(await current.found(search, query, stages()))
    for name in before[:3]:
        write(url, name, in_stock=False)
    after = names(await current.found(search, query, stages()))
    assert len(after) == 5
    assert after[:2] == before[3:]
    assert not {*before[:3]} & {*after}
    write(url, before[0], in_stock=True)
    assert names(await current.found(search, query, stages()))[0] == before[0]


@pytest.mark.parametrize("seed", range(6))
async def test_any_filter_after_any_writes_finds_what_reading_every_item_finds(current, search, url, seed):
    rng = random.Random(seed)
    ranked = search.everything()
    values = {hit.row["item_id"]: {name: hit.row[name] for name in ("price", "in_stock")} for hit in ranked}
    for _ in range(8):
        for name in rng.sample(list(values), 8):
            cost = rng.choice([None, round(200 * rng.random(), 2)])
            values[name] = {"price": cost, "in_stock": rng.choice([True, False])}
            write(url, name, **values[name])
        low, high = rng.choice([None, 20.0, 90.0]), rng.choice([None, 95.0, 150.0])
        in_stock = rng.choice([True, False, None])
        k, offset = rng.choice([1, 5, 30]), rng.choice([0, 3])
        filters = price(low, high) + ([] if in_stock is None else [AnyOf("in_stock", frozenset({in_stock}))])

        def holds(row: dict, low=low, high=high, in_stock=in_stock) -> bool:
            if in_stock is not None and row["in_stock"] is not in_stock:
                return False
            if low is None and high is None:
                return True
            cost = row["price"]
            return cost is not None and (low is None or cost >= low) and (high is None or cost <= high)

        found = await current.found(search, Query(k=k, offset=offset, filters=filters), stages())
        expected = [hit.row["item_id"] for hit in ranked if holds(values[hit.row["item_id"]])]
        assert names(found) == expected[offset : offset + k]
        assert found.fresh


async def test_beyond_the_nearest_items_are_found_that_met_the_filter_before(current, search, url, monkeypatch):
    """With a large catalogue the nearest are a small part of it."""
    monkeypatch.setattr(current_module, "_NEAREST", 4)
    query = Query(k=2, filters=price(150.0, None))
    before = names(await current.found(search, query, stages()))
    assert len(before) == 2
    assert len(search.taken) >= 2
    for name in before:
        write(url, name, price=1.0)
    after = await current.found(search, query, stages())
    assert len(after.hits) == 2
    assert not {*names(after)} & {*before}


async def test_widening_is_bounded(current, search, url, monkeypatch):
    monkeypatch.setattr(current_module, "_NEAREST", 2)
    monkeypatch.setattr(current_module, "_MOST", 16)
    execute(url, "UPDATE items SET in_stock = false")
    found = await current.found(search, Query(k=1, filters=[STOCKED]), stages())
    assert found.hits == []
    assert max(search.taken) <= 16
    assert len(search.taken) < 6


async def test_one_result_for_each_parent_is_the_variant_that_meets_the_filter(current, search, url):
    query = Query(k=10, filters=[STOCKED], dedupe="parent")
    found = (await current.found(search, query, stages())).hits
    parents = [hit.row["parent_id"] for hit in found]
    assert len(set(parents)) == len(parents) == 10
    shown = {hit.row["parent_id"]: hit.row["item_id"] for hit in found}
    rows = [hit.row for hit in search.everything()]
    other = next(row for row in rows if row["parent_id"] in shown and row["item_id"] != shown[row["parent_id"]])
    write(url, other["item_id"], in_stock=True)
    write(url, shown[other["parent_id"]], in_stock=False)
    assert other["item_id"] in names(await current.found(search, query, stages()))


@pytest.mark.parametrize("filters", [[], [STOCKED]])
async def test_without_an_answer_of_the_database_the_bundles_values_count(search, filters):
    dead = Store("postgresql://127.0.0.1:1/x", budget=1.0, breaker=Breaker(), metrics=Metrics())
    found = await CurrentHits(dead).found(search, Query(k=5, filters=filters), stages())
    assert not found.fresh
    assert found.hits == await search(5, filters, 0, "item")
    dead.close()


@pytest.mark.parametrize("filters", [[], [STOCKED]])
async def test_without_a_database_the_bundles_values_are_the_current_ones(search, filters):
    found = await CurrentHits(None).found(search, Query(k=5, offset=2, filters=filters), stages())
    assert found.fresh
    assert found.hits == await search(5, filters, 2, "item")
    assert search.taken == [5, 5]


async def test_item_without_a_row_keeps_the_bundles_values_and_is_not_fresh(current, search, url):
    first = search.everything()[0]
    execute(url, "DELETE FROM items WHERE item_id = :item_id", rows=[{"item_id": first.row["item_id"]}])
    found = await current.found(search, Query(k=2), stages())
    assert found.hits[0].row == first.row
    assert not found.fresh


async def test_listed_items_are_checked_against_their_current_values(current, search, url):
    hits = search.everything()[:10]
    write(url, hits[0].row["item_id"], price=10.0, in_stock=True)
    write(url, hits[1].row["item_id"], price=10.0, in_stock=False)
    query = Query(k=3, filters=[STOCKED, *price(9.0, 11.0)])
    found = await current.admitted(hits, query, stages())
    assert names(found) == names(hits[:1])
    assert found.fresh
