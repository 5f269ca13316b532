"""Whole searches while encoder, index and database fail, and after."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.bundle import TRENDING
from src.search.searcher import Searcher
from tests.search.small_bundle import Shop, catalogue, picture, write_bundle
from tests.serve.problems import check_problem
from tests.serve.running import until
from tests.serve.samples import sample
from tests.serve.shop_database import make_table, write

SELLING = {
    "bags": [{"item_id": f"sku/{number:03d} ö", "score": 100 - number} for number in (6, 1, 11, 16)],
    "shoes": [{"item_id": "sku/005 ö", "score": 97}, {"item_id": "gone", "score": 96}],
}


def selling_shop(root: Path, categories: dict) -> Shop:
    def add_trending(folder: Path) -> None:
        (folder / TRENDING).write_text(json.dumps({"days": 30, "until": None, "categories": categories}))

    return write_bundle(root, catalogue(40), further=add_trending)


@pytest.fixture(scope="module")
def selling(tmp_path_factory) -> Shop:
    """A shop whose bundle knows what sells."""
    return selling_shop(tmp_path_factory.mktemp("fallback") / "bundle", SELLING)


class Broken:
    """Stands where a method was; raises, or takes long, while `on`."""

    def __init__(self, method: Callable) -> None:
        self.method = method
        self.on = False
        self.calls = 0
        self.seconds = 0.0

    def __call__(self, *arguments, **named):
        self.calls += 1
        if self.on and not self.seconds:
            raise RuntimeError("out of order")
        if self.on:
            time.sleep(self.seconds)
        return self.method(*arguments, **named)


@pytest.fixture
def breakable(monkeypatch) -> list[SimpleNamespace]:
    """The encoders and indexes of the searchers that are opened."""
    opened: list[SimpleNamespace] = []
    original = Searcher.open.__func__

    def remembered(cls, *arguments, **named):
        searcher = original(cls, *arguments, **named)
        searcher.encoder.embed_with_norms = Broken(searcher.encoder.embed_with_norms)
        gallery = searcher.gallery
        gallery.search, gallery.similar = Broken(gallery.search), Broken(gallery.similar)
        opened.append(
            SimpleNamespace(embed=searcher.encoder.embed_with_norms, search=gallery.search, similar=gallery.similar)
        )
        return searcher

    monkeypatch.setattr(Searcher, "open", classmethod(remembered))
    return opened


@pytest.fixture
def service(selling, breakable, tmp_path) -> Iterator[SimpleNamespace]:
    """A service whose encoder and index can be broken, with a database in which the shop writes."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    make_table(url, selling)
    settings = ServeSettings(deadline_seconds=1.0, store_url=SecretStr(url), store_budget_ms=1000)
    with TestClient(create_app(selling.root, settings)) as client:
        yield SimpleNamespace(client=client, engine=breakable[0], database=url)


def search(client: TestClient, data: bytes, **fields: object) -> dict:
    response = client.post("/v1/search", files={"image": ("p.jpg", data)}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


def names(body: dict) -> list[str]:
    return [result["item_id"] for result in body["results"]]


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
    write(service.database, first[0], in_stock=False)
    assert names(search(client, picture(4), category="bags", in_stock="true")) == first[1:]


def test_dead_encoder_is_asked_again_when_it_is_well(service):
    client = service.client
    service.engine.embed.on = True
    for number in range(20):
        search(client, picture(100 + number))
    assert service.engine.embed.calls < 20, "the breaker never opened"
    service.engine.embed.on = False
    fresh = iter(range(1000, 10_000))
    until(lambda: search(client, picture(next(fresh)))["rung"] == "search")
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
    until(lambda: client.get("/v1/items/sku%2F006%20ö/similar").json()["rung"] == "search")


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


def dead_store() -> ServeSettings:
    return ServeSettings(store_url=SecretStr("postgresql://me:hidden@127.0.0.1:1/x"))


def test_dead_database_leaves_searches_as_the_bundle_has_them(shop):
    with TestClient(create_app(shop.root, dead_store())) as client:
        rows = {row["item_id"]: row for row in shop.rows()}
        for _ in range(7):
            body = search(client, picture(3), in_stock="true", price_max=100)
            assert (body["rung"], body["fresh"]) == ("search", False)
            assert len(body["results"]) == 10
            assert all(rows[name]["in_stock"] and rows[name]["price"] <= 100 for name in names(body))
        assert sample(client, "lookalike_breaker_state", dependency="store") == 2
        words = client.get("/v1/search/text?q=acme")
        assert (words.json()["fresh"], len(words.json()["results"])) == (False, 10)
        assert "hidden" not in words.text


def test_where_no_rung_has_an_item_the_search_says_so(tmp_path, breakable):
    """A bundle without an item in the category, and a dead encoder."""
    shop = selling_shop(tmp_path / "bundle", {})
    with TestClient(create_app(shop.root)) as client:
        breakable[0].embed.on = True
        response = client.post("/v1/search", files={"image": ("p.jpg", picture(3))}, data={"category": "none"})
        check_problem(response, 503)
        assert response.headers["retry-after"] == "2"
        assert response.json()["type"] == "urn:lookalike:problem:search-unavailable"
        assert search(client, picture(3))["rung"] == "text", "any items"


def test_without_a_database_none_is_queried(client):
    assert search(client, picture(3))["fresh"]
    assert search(client, picture(3), in_stock="true")["fresh"]
    assert sample(client, "lookalike_store_seconds_count") == 0
