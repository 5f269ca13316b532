"""What is opened for the settings of a service."""

import os
from collections.abc import Iterator

import pytest

from serve.bundle.opened import Opened, Shared
from serve.cache.embedding_cache import EmbeddingCache
from serve.metrics import Metrics
from serve.pipeline.threads import ThreadPools
from serve.settings import ServeSettings
from src.contracts.errors import BundleError, ConfigError
from tests.search.small_bundle import Shop, damage


@pytest.fixture
def shared() -> Iterator[object]:
    pools = ThreadPools(threads=1)

    def with_settings(**settings: object) -> Shared:
        metrics = Metrics()
        cache = EmbeddingCache(max_bytes=0, redis=None, metrics=metrics)
        return Shared(ServeSettings(**settings), metrics, pools, cache, store=None, live=None)

    yield with_settings
    pools.close()


@pytest.mark.parametrize(
    ("settings", "cores", "encoders", "ahead"),
    [
        ({}, 4, 4, False),
        ({"processes": 2}, 4, 2, False),
        ({"processes": 8}, 4, 1, False),
        ({"encoders": 2}, 4, 2, True),
        ({"encoders": 8}, 4, 8, False),
        ({"encoder_threads": 2}, 4, 2, True),
        ({"encoder_threads": 0}, 4, 1, True),
        ({"encoder_threads": 8}, 4, 1, True),
    ],
)
def test_encoders_fill_the_cores_and_photos_are_decoded_ahead_where_they_do_not(
    shop: Shop, shared, monkeypatch, settings, cores, encoders, ahead
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    opened = Opened.open(shop.root, shared(runtime="onnxruntime", **settings))
    embedder = opened.pipeline.embedder
    assert embedder.batcher._free == encoders
    assert embedder.decode_ahead is ahead
    opened.close()


def test_bundle_beside_another_one_is_searched_with_its_pictures(shop: Shop, shared):
    alone, beside = (Opened.open(shop.root, shared(), beside=beside) for beside in (False, True))
    assert alone.checks == "not checked"
    assert "find their own item" in beside.checks
    for opened in (alone, beside):
        assert opened.layer is None
        opened.close()


@pytest.mark.parametrize("beside", [False, True])
def test_what_cannot_be_served_is_refused(copied, shared, beside):
    with pytest.raises(ConfigError, match="none"):
        Opened.open(copied, shared(detector="none"), beside=beside)
    damage(copied, "index.faiss")
    with pytest.raises(BundleError, match=r"index\.faiss"):
        Opened.open(copied, shared(), beside=beside)
