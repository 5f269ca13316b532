"""Whole searches while encoder, index and store fail, and after."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from serve.bundle.engine import Engine
from serve.bundle.trending import Trending

from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.bundle import TRENDING
from tests.search.small_bundle import Shop, catalogue, picture, write_bundle

SELLING = {
    "bags": [{"item_id": f"sku/{number:03d} ö", "score": 100 - number} for number in (6, 1, 11, 16)],
    "shoes": [{"item_id": "sku/005 ö", "score": 97}, {"item_id": "gone", "score": 96}],
}


@pytest.fixture(scope="module")
def selling(tmp_path_factory) -> Shop:
    """A shop whose bundle knows what sells."""
    root = tmp_path_factory.mktemp("ladder") / "bundle"

    def add_trending(folder: Path) -> None:
        (folder / TRENDING).write_text(json.dumps({"days": 30, "until": None, "categories": SELLING}))

    return write_bundle(root, catalogue(40), further=add_trending)


class Broken:
    """Stands where a method was; raises, or takes long, while it is told to."""

    def __init__(self, method: Callable, *, seconds: float = 0.0) -> None:
        self.method = method
        self.on = False
        self.calls = 0
        self.seconds = seconds

    def __call__(self, *arguments, **named):
        self.calls += 1
        if not self.on:
            return self.method(*arguments, **named)
        if self.seconds:
            time.sleep(self.seconds)
            return self.method(*arguments, **named)
        raise RuntimeError("out of order")


@pytest.fixture
def service(selling, monkeypatch, tmp_path) -> Iterator[SimpleNamespace]:
    """A service whose encoder and index can be broken, and into whose store others may write."""
    store = SecretStr(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened: list[Engine] = []
    original = Engine.open.__func__

    def remembered(cls, *arguments, **named):
        engine = original(cls, *arguments, **named)
        engine.embed = Broken(engine.embed)
        engine.search = Broken(engine.search)
        engine.similar = Broken(engine.similar)
        opened.append(engine)
        return engine

    monkeypatch.setattr(Engine, "open", classmethod(remembered))
    with TestClient(create_app(selling.root, ServeSettings(deadline_seconds=1.0, store_url=store))) as client:
        items = client.get("/v1/bundle").json()["items"]
        wait_for(lambda: sample(client, "lookalike_store_items_loaded") == items)
        yield SimpleNamespace(client=client, engine=opened[0])


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, "it never came"


def search(client: TestClient, data: bytes, **fields: object) -> dict:
    response = client.post("/v1/search", files={"image": ("p.jpg", data)}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


def names(body: dict) -> list[str]:
    return [result["item_id"] for result in body["results"]]


def sample(client: TestClient, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return found.value
    return 0.0


def test_search_that_goes_well_says_so(service):
    body = search(service.client, picture(3))
    assert (body["rung"], body["fresh"]) == ("search", True)
    assert sample(service.client, "lookalike_rungs_total", rung="search") >= 1


def test_dead_encoder_leaves_what_is_cached_words_and_what_sells(service):
    client = service.client
    known = search(client, picture(3))
    service.engine.embed.on = True
    unknown = search(client, picture(4))
    assert unknown["rung"] == "trending"
    assert names(unknown) == [f"sku/{number:03d} ö" for number in (1, 5, 6, 11, 16)]
    assert [result["score"] for result in unknown["results"]] == [None] * 5
    assert [result["rank"] for result in unknown["results"]] == [1, 2, 3, 4, 5]
    assert unknown["fresh"]
    assert names(search(client, picture(4), category="bags")) == [f"sku/{n:03d} ö" for n in (6, 1, 11, 16)]
    words = search(client, picture(4), q="acme blue")
    assert words["rung"] == "text"
    assert words["results"]
    assert all((found["brand"], found["color"]) == ("acme", "blue") for found in words["results"])
    # Words that nothing has are no reason to show nothing.
    assert search(client, picture(4), q="nothinglikethis")["rung"] == "trending"
    # A category in which nothing sold: any of its items, those in stock first.
    dresses = search(client, picture(4), category="dresses", k=4)
    assert dresses["rung"] == "text"
    assert {found["category"] for found in dresses["results"]} == {"dresses"}
    assert sample(client, "lookalike_breaker_state", dependency="encoder") == 2
    cached = search(client, picture(3))
    assert cached["rung"] == "cache"
    assert cached["results"] == known["results"]
    counted = {rung: sample(client, "lookalike_rungs_total", rung=rung) for rung in ("cache", "text", "trending")}
    assert counted == {"cache": 1, "text": 2, "trending": 3}


def test_filters_hold_on_every_rung(service):
    client = service.client
    service.engine.embed.on = True
    for fields in (
        {"in_stock": "true"},
        {"price_max": 100},
        {"brand": "acme"},
        {"category": "bags", "in_stock": "true"},
    ):
        for q in ("", "acme"):
            for found in search(client, picture(5), q=q, **fields)["results"]:
                assert "in_stock" not in fields or found["in_stock"]
                assert "price_max" not in fields or found["price"] <= 100
                assert "brand" not in fields or found["brand"] == "acme"
                assert "category" not in fields or found["category"] == "bags"


def test_what_sold_out_a_moment_ago_does_not_sell(service):
    client = service.client
    service.engine.embed.on = True
    first = names(search(client, picture(4), category="bags", in_stock="true"))
    client.app.state.service.store.write([{"item_id": first[0], "in_stock": False}], updated_at=datetime.now(UTC))
    assert names(search(client, picture(4), category="bags", in_stock="true")) == first[1:]


def test_dead_encoder_is_asked_again_when_it_is_well(service):
    client = service.client
    service.engine.embed.on = True
    for number in range(20):
        search(client, picture(100 + number))
    assert service.engine.embed.calls < 20, "the breaker never opened"
    service.engine.embed.on = False
    fresh = iter(range(1000, 10_000))
    wait_for(lambda: search(client, picture(next(fresh)))["rung"] == "search")
    assert sample(client, "lookalike_breaker_state", dependency="encoder") == 0


def test_late_encoder_is_not_waited_for_until_the_deadline(service):
    service.engine.embed.on = True
    service.engine.embed.seconds = 1.5
    started = time.monotonic()
    assert search(service.client, picture(60))["rung"] == "trending"
    assert 0.5 < time.monotonic() - started < 1.5


def test_dead_index_leaves_words_and_what_sells(service):
    client = service.client
    service.engine.search.on = service.engine.similar.on = True
    assert search(client, picture(3))["rung"] == "trending"
    assert search(client, picture(3), q="acme")["rung"] == "text"
    similar = client.get("/v1/items/sku%2F006%20ö/similar").json()
    assert similar["rung"] == "trending"
    assert names(similar) == [f"sku/{number:03d} ö" for number in (1, 11, 16)], "of its category, without itself"
    service.engine.search.on = service.engine.similar.on = False
    wait_for(lambda: client.get("/v1/items/sku%2F006%20ö/similar").json()["rung"] == "search")


@pytest.mark.parametrize(("data", "status"), [(b"no image", 415), (picture(1)[:500], 422)])
def test_bad_image_is_the_callers_fault_on_every_rung(service, data, status):
    service.engine.embed.on = True
    for _ in range(8):  # The breaker opens meanwhile.
        search(service.client, picture(7))
        assert service.client.post("/v1/search", files={"image": ("p.jpg", data)}).status_code == status


def test_bad_images_and_wrong_requests_open_no_breaker(service):
    for _ in range(30):
        service.client.post("/v1/search", files={"image": ("p.jpg", b"no image")})
        service.client.post("/v1/search", files={"image": ("p.jpg", picture(1))}, data={"k": "many"})
        service.client.get("/v1/items/unknown/similar")
    for dependency in ("encoder", "index", "store"):
        assert sample(service.client, "lookalike_breaker_state", dependency=dependency) == 0
    assert search(service.client, picture(70))["rung"] == "search"


def test_pages_and_parents_on_a_rung(service):
    client = service.client
    service.engine.embed.on = True
    everything = names(search(client, picture(4), q="acme", k=100))
    pages = [names(search(client, picture(4), q="acme", k=3, offset=offset)) for offset in (0, 3)]
    assert pages[0] + pages[1] == everything[:6]
    parents = [found["parent_id"] for found in search(client, picture(4), q="acme", dedupe="parent")["results"]]
    assert len(set(parents)) == len(parents)


def test_search_by_words(service):
    found = service.client.get("/v1/search/text", params={"q": "acme red", "k": 3}).json()
    assert found["rung"] == "text"
    assert found["fresh"]
    assert all((one["brand"], one["color"]) == ("acme", "red") for one in found["results"])
    assert service.client.get("/v1/search/text?q=nothinglikethis").json()["results"] == []
    assert service.client.get("/v1/search/text").status_code == 422
    assert service.client.get("/v1/search/text", params={"q": "x" * 201}).status_code == 422


def dead_store(shop: Shop) -> FastAPI:
    return create_app(shop.root, ServeSettings(store_url=SecretStr("postgresql://me:hidden@127.0.0.1:1/x")))


def test_dead_store_leaves_searches_as_the_bundle_has_them(shop):
    with TestClient(dead_store(shop)) as client:
        rows = {row["item_id"]: row for row in shop.rows()}
        for _ in range(7):
            body = search(client, picture(3), in_stock="true", price_max=100)
            assert (body["rung"], body["fresh"]) == ("search", False)
            assert len(body["results"]) == 10
            assert all(rows[name]["in_stock"] and rows[name]["price"] <= 100 for name in names(body))
        assert sample(client, "lookalike_breaker_state", dependency="store") == 2
        refused = client.get("/v1/search/text?q=acme")
        assert refused.status_code == 503
        assert "hidden" not in refused.text


def test_with_nothing_left_a_search_says_so(shop):
    """A bundle without what sells, a dead store, a dead encoder."""
    with TestClient(dead_store(shop)) as client:
        with client.app.state.service.current.hold() as opened:
            opened.engine.encoder = SimpleNamespace(embed=Broken(np.zeros))
            opened.engine.encoder.embed.on = True
        response = client.post("/v1/search", files={"image": ("p.jpg", picture(3))})
        assert response.status_code == 503, response.text[:600]
        assert response.headers["retry-after"] == "2"
        assert response.json()["type"] == "urn:lookalike:problem:search-unavailable"


def test_what_sells_over_all_categories_is_ranked_by_score():
    trending = Trending(SELLING)
    assert trending.items() == ["sku/001 ö", "sku/005 ö", "gone", "sku/006 ö", "sku/011 ö", "sku/016 ö"]
    assert trending.items(["shoes"]) == ["sku/005 ö", "gone"]
    assert trending.items(["none"]) == []
    assert Trending({}).items() == []


def test_where_nobody_else_writes_no_search_asks_the_store(shop):
    with TestClient(create_app(shop.root, ServeSettings())) as client:
        assert search(client, picture(3))["fresh"]
        assert search(client, picture(3), in_stock="true")["fresh"]
        assert "lookalike_store_queries_total{" not in client.get("/metrics").text
