import logging
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from serve.app import create_app
from serve.breaker import Breaker, BreakerState
from serve.metrics import DEPENDENCIES, Metrics
from tests.deploy.files import DEPLOY, metrics_in
from tests.search.small_bundle import Shop, picture
from tests.serve.samples import sample, samples


@pytest.fixture
def fresh(shop: Shop) -> Iterator[TestClient]:
    """An application whose counts start at zero."""
    with TestClient(create_app(shop.root)) as client:
        yield client


def requests(client: TestClient) -> dict[tuple[str, str], float]:
    """The requests that were counted, by endpoint and status."""
    found = {
        (dict(labels)["endpoint"], dict(labels)["status"]): value
        for (name, labels), value in samples(client).items()
        if name == "lookalike_requests_total" and value
    }
    return {key: value for key, value in found.items() if key[0] != "/metrics"}


@pytest.mark.parametrize("file", ["prometheus/alerts.yml", "grafana/dashboards/lookalike.json"])
def test_every_metric_that_is_watched_exists_from_the_start(fresh, file):
    watched = metrics_in((DEPLOY / file).read_text().replace('\\"', '"').replace('"', " "))
    assert len(watched) > 5
    assert watched <= {name for name, _ in samples(fresh)}


def test_series_whose_labels_are_known_start_at_zero(fresh):
    found = samples(fresh)
    for dependency in DEPENDENCIES:
        assert found["lookalike_breaker_state", frozenset({("dependency", dependency)})] == 0
        assert found["lookalike_breaker_opened_total", frozenset({("dependency", dependency)})] == 0
    for status in ("200", "413", "500", "503"):
        labels = frozenset({("endpoint", "/v1/search"), ("status", status)})
        assert found["lookalike_requests_total", labels] == 0
    for stage in ("hash", "decode", "embed", "search", "store", "lookup"):
        assert found["lookalike_stage_seconds_count", frozenset({("stage", stage)})] == 0


def test_known_series_are_all_there_are(fresh, shop):
    """What a search adds to the samples is values only: rates of what has just appeared would be wrong."""
    before = samples(fresh).keys()
    for data in (picture(1), shop.pictures[0], b"broken", bytes(300_000)):
        fresh.post("/v1/search", files={"image": ("p", data)}, params={"box": "auto"})
        fresh.post("/v1/search", files={"image": ("p", data)})
    fresh.get("/v1/search/text?q=acme")
    fresh.get("/v1/items/sku%2F002%20ö/similar")
    fresh.get("/v1/items/none/similar")
    fresh.delete("/v1/items/none")
    assert samples(fresh).keys() == before


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
        ("/v1/items/{item_id:any}/similar", "200"): 1,
        ("/v1/items/{item_id:any}/similar", "404"): 1,
        ("unmatched", "404"): 3,
    }


def test_stages_results_and_flight_are_measured(fresh):
    for seed in range(3):
        fresh.post("/v1/search", files={"image": ("p", picture(seed))}, data={"k": 7})
    fresh.get("/v1/items/sku%2F002%20ö/similar?k=7")
    # Decoding and search follow the batch on the encoder's thread: only the batch, and `similar`, wait for a thread.
    for stage, worked, waited in (("decode", 3, 0), ("embed", 3, 3), ("search", 4, 1)):
        assert sample(fresh, "lookalike_stage_seconds_count", stage=stage) == worked
        assert sample(fresh, "lookalike_wait_seconds_count", stage=stage) == waited
        assert 0 < sample(fresh, "lookalike_stage_seconds_sum", stage=stage) < 10
    assert sample(fresh, "lookalike_results_sum") == 4 * 7
    assert sample(fresh, "lookalike_searches_in_flight") == 0
    assert sample(fresh, "lookalike_request_seconds_count", endpoint="/v1/search") == 3
    assert sample(fresh, "lookalike_batch_images_sum") == 3
    bundle_id = fresh.get("/v1/bundle").json()["bundle_id"]
    assert sample(fresh, "lookalike_bundle_images", bundle_id=bundle_id) == 120


def test_photo_that_cannot_be_read_is_timed_no_further_than_decoding(fresh):
    fresh.post("/v1/search", files={"image": ("p", picture(1)[:900])})
    assert sample(fresh, "lookalike_stage_seconds_count", stage="embed") == 0
    assert sample(fresh, "lookalike_batch_images_count") == 0


def test_breakers_changes_are_counted_and_logged(caplog):
    metrics = Metrics()
    breaker = Breaker(clock=iter(range(1000)).__next__, on_change=metrics.watch("redis"))
    with caplog.at_level(logging.INFO, logger="serve"):
        for _ in range(5):
            with pytest.raises(OSError, match="x"), breaker.call():
                raise OSError("x")
        assert metrics.breaker_state.labels("redis")._value.get() == BreakerState.OPEN
        assert "redis fails" in caplog.text
        with breaker.call():
            assert metrics.breaker_state.labels("redis")._value.get() == BreakerState.HALF_OPEN
    assert metrics.breaker_state.labels("redis")._value.get() == BreakerState.CLOSED
    assert metrics.breaker_opened.labels("redis")._value.get() == 1
    assert "redis answers again" in caplog.text


def test_each_application_has_metrics_of_its_own():
    one, other = Metrics(), Metrics()
    one.rejected.inc()
    assert b"lookalike_rejected_total 1.0" in one.exposition()
    assert b"lookalike_rejected_total 0.0" in other.exposition()
    assert b"process_open_fds" in one.exposition()
    assert b"_created" not in one.exposition()
