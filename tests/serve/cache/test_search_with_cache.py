"""Whole searches with a cache: what it spares, and what its failures cost."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import SecretStr

from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.errors import ConfigError
from tests.search.small_bundle import Shop, picture
from tests.serve.samples import sample
from tests.serve.servers import RedisServer, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def search(client: TestClient, data: bytes, **fields: object) -> dict:
    response = client.post("/v1/search", files={"image": ("p.jpg", data)}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


def embedded(client: TestClient) -> float:
    return sample(client, "lookalike_stage_seconds_count", stage="embed")


def test_photo_that_was_seen_is_neither_decoded_nor_embedded_again(shop: Shop):
    with TestClient(create_app(shop.root)) as client:
        first = search(client, picture(5))
        again = search(client, picture(5))
        assert again["results"] == first["results"]
        assert embedded(client) == sample(client, "lookalike_stage_seconds_count", stage="decode") == 1
        # The same pixels in another file are another photo.
        buffer = io.BytesIO()
        Image.open(io.BytesIO(picture(5))).save(buffer, "PNG")
        search(client, buffer.getvalue())
        assert embedded(client) == 2
        assert sample(client, "lookalike_cache_lookups_total", level="local", outcome="hit") == 1
        assert sample(client, "lookalike_cache_local_bytes") > 0


def test_bad_photo_is_not_kept(shop: Shop):
    with TestClient(create_app(shop.root)) as client:
        for _ in range(2):
            assert client.post("/v1/search", files={"image": ("p.jpg", b"broken")}).status_code == 415
        assert sample(client, "lookalike_cache_local_bytes") == 0


def test_without_memory_nothing_is_kept(shop: Shop):
    with TestClient(create_app(shop.root, ServeSettings(cache_mib=0))) as client:
        search(client, picture(5))
        search(client, picture(5))
        assert embedded(client) == 2


def test_what_one_process_embedded_another_finds(server, shop: Shop):
    settings = ServeSettings(redis_url=SecretStr(server.url), redis_budget_ms=1000)
    with TestClient(create_app(shop.root, settings)) as client:
        first = search(client, picture(7))
        while sample(client, "lookalike_cache_writes_total", outcome="stored") < 1:
            pass
    with TestClient(create_app(shop.root, settings)) as client:
        again = search(client, picture(7))
        assert embedded(client) == 0
        assert sample(client, "lookalike_cache_lookups_total", level="redis", outcome="hit") == 1
    assert [found["item_id"] for found in again["results"]] == [found["item_id"] for found in first["results"]]
    for one, other in zip(first["results"], again["results"], strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)


def test_searches_are_answered_while_redis_is_dead_stopped_and_back(server, shop: Shop):
    settings = ServeSettings(redis_url=SecretStr(server.url), cache_mib=0)
    with TestClient(create_app(shop.root, settings)) as client:
        expected = search(client, picture(9))["results"][0]["item_id"]

        def state() -> float:
            return sample(client, "lookalike_breaker_state", dependency="redis")

        def until(wanted: float) -> None:
            for _ in range(2000):
                assert search(client, picture(9))["results"][0]["item_id"] == expected
                if state() == wanted:
                    return
            raise AssertionError("the breaker did not change")

        server.kill()
        until(2)
        server.start()
        until(0)
        server.pause()
        until(2)
        server.resume()
        until(0)
        assert sample(client, "lookalike_breaker_opened_total", dependency="redis") >= 2
        assert sample(client, "lookalike_cache_lookups_total", level="redis", outcome="skipped") > 0


def test_service_with_a_dead_redis_answers(shop: Shop):
    settings = ServeSettings(redis_url=SecretStr("redis://:hidden@127.0.0.1:1/0"))
    with TestClient(create_app(shop.root, settings)) as client:
        for seed in range(8):
            search(client, picture(seed))
        assert sample(client, "lookalike_breaker_state", dependency="redis") == 2


def test_bad_url_is_an_error_before_anything_is_loaded():
    with pytest.raises(ConfigError, match="LOOKALIKE_REDIS_URL"):
        create_app(Path("none"), ServeSettings(redis_url=SecretStr("nonsense")))
