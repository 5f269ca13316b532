import asyncio
import random
from collections import OrderedDict

import numpy as np
import pytest

from serve.cache.embedding_cache import _OVERHEAD, EmbeddingCache
from serve.metrics import Metrics

SIZE = 4 * 8 + _OVERHEAD


def vector(value: float) -> np.ndarray:
    return np.full(8, value, np.float32)


class Local:
    """The level in the process, called as a search calls it."""

    def __init__(self, *, max_bytes: int) -> None:
        self.metrics = Metrics()
        self.cache = EmbeddingCache(max_bytes=max_bytes, redis=None, metrics=self.metrics)

    def get(self, key: bytes) -> np.ndarray | None:
        return asyncio.run(self.cache.get(key))

    def lookups(self, outcome: str) -> int:
        return int(self.metrics.cache_lookups.labels("local", outcome)._value.get())


def test_least_recently_used_leaves_first():
    local = Local(max_bytes=3 * SIZE)
    for name in (b"k0", b"k1", b"k2"):
        local.cache.put(name, vector(1))
    assert local.get(b"k0") is not None
    local.cache.put(b"k3", vector(2))
    assert local.get(b"k1") is None
    assert [local.get(name) is not None for name in (b"k0", b"k2", b"k3")] == [True] * 3
    assert local.metrics.cache_bytes._value.get() == 3 * SIZE
    assert (local.lookups("hit"), local.lookups("miss")) == (4, 1)


def test_it_is_a_dictionary_with_a_bound():
    """Against a plain model, over many random steps."""
    rng = random.Random(3)
    cache = EmbeddingCache(max_bytes=5 * SIZE + 7, redis=None, metrics=(metrics := Metrics()))
    model: OrderedDict[bytes, float] = OrderedDict()

    async def scenario() -> None:
        for _ in range(5000):
            name = b"k%d" % rng.randrange(9)
            if rng.random() < 0.5:
                value = rng.random()
                cache.put(name, vector(value))
                model.pop(name, None)
                model[name] = value
                if len(model) > 5:
                    model.popitem(last=False)
                assert metrics.cache_bytes._value.get() == len(model) * SIZE
            else:
                found = await cache.get(name)
                assert (found is None) == (name not in model)
                if found is not None:
                    np.testing.assert_array_equal(found, vector(model[name]))
                    model.move_to_end(name)

    asyncio.run(scenario())


def test_what_is_kept_is_a_copy_that_cannot_be_changed():
    local = Local(max_bytes=10 * SIZE)
    batch = np.ones((64, 8), np.float32)
    local.cache.put(b"k0", batch[3])
    batch[:] = 5
    kept = local.get(b"k0")
    assert kept is not None
    np.testing.assert_array_equal(kept, vector(1))
    assert kept.base is None
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 2


@pytest.mark.parametrize("max_bytes", [0, SIZE - 1])
def test_too_large_an_embedding_is_not_kept(max_bytes):
    local = Local(max_bytes=max_bytes)
    local.cache.put(b"k0", vector(1))
    assert local.get(b"k0") is None
    assert local.metrics.cache_bytes._value.get() == 0
