from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from serve.app import create_app
from tests.search.small_bundle import Shop, picture


@pytest.fixture
def fresh(shop: Shop) -> Iterator[TestClient]:
    """An application whose counts start at zero."""
    with TestClient(create_app(shop.root)) as client:
        yield client


def samples(client: TestClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def requests(client: TestClient) -> dict[tuple[str, str], float]:
    return {
        (dict(labels)["endpoint"], dict(labels)["status"]): value
        for (name, labels), value in samples(client).items()
        if name == "lookalike_requests_total"
    }


def test_requests_are_counted_by_endpoint_and_status(fresh):
    for data in (picture(1), picture(2), b"broken"):
        fresh.post("/v1/search", files={"image": ("p", data)})
    fresh.get("/v1/items/sku%2F002%20ö/similar")
    fresh.get("/v1/items/other/similar")
    fresh.get("/v1/search")
    for place in range(3):
        fresh.get(f"/made/up/{place}")
    assert requests(fresh) == {
        ("/v1/search", "200"): 2,
        ("/v1/search", "415"): 1,
        ("/v1/search", "405"): 1,
        ("/v1/items/{item_id:path}/similar", "200"): 1,
        ("/v1/items/{item_id:path}/similar", "404"): 1,
        ("unmatched", "404"): 3,
    }


def test_stages_results_and_flight_are_measured(fresh, shop):
    before = samples(fresh)
    for seed in range(3):
        fresh.post("/v1/search", files={"image": ("p", picture(seed))}, data={"k": 7})
    fresh.get("/v1/items/sku%2F002%20ö/similar?k=7")
    after = samples(fresh)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0.0)

    # Decoding and search follow the batch on the encoder's thread: only the batch, and `similar`, are waited for.
    for stage, worked, waited in (("decode", 3, 0), ("embed", 3, 3), ("search", 4, 1)):
        assert grown("lookalike_stage_seconds_count", stage=stage) == worked
        assert grown("lookalike_wait_seconds_count", stage=stage) == waited
        assert 0 < grown("lookalike_stage_seconds_sum", stage=stage) < 10
    assert grown("lookalike_results_sum") == 4 * 7
    assert after["lookalike_searches_in_flight", ()] == 0
    assert grown("lookalike_request_seconds_count", endpoint="/v1/search") == 3
    bundle_id = fresh.get("/v1/bundle").json()["bundle_id"]
    assert after["lookalike_bundle_images", (("bundle_id", bundle_id),)] == 120


def test_broken_image_is_timed_no_further_than_decoding(fresh):
    fresh.post("/v1/search", files={"image": ("p", b"broken")})
    assert not [key for key in samples(fresh) if key[0] == "lookalike_stage_seconds_count" and "embed" in str(key)]


def test_probes(fresh, shop):
    assert fresh.get("/livez").json() == {"status": "alive"}
    assert fresh.get("/readyz").json() == {"status": "ready"}
    unstarted = TestClient(create_app(shop.root))
    assert unstarted.get("/livez").status_code == 200
    assert unstarted.get("/readyz").status_code == 503


def test_our_own_bug_is_a_problem_with_an_id_and_is_logged(fresh, caplog):
    @fresh.app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("secret detail")

    response = fresh.get("/bug")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
    assert response.json()["request_id"] in caplog.text
    assert "secret detail" in caplog.text
    assert requests(fresh)["/bug", "500"] == 1
