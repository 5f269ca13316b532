import random
from collections import OrderedDict

import numpy as np
import pytest

from serve.cache.local import _OVERHEAD, LocalCache

SIZE = 2 + 4 * 8 + _OVERHEAD


def vector(value: float) -> np.ndarray:
    return np.full(8, value, np.float32)


def test_least_recently_used_goes_first():
    cache = LocalCache(max_bytes=3 * SIZE)
    for name in (b"k0", b"k1", b"k2"):
        cache.put(name, vector(1))
    assert cache.get(b"k0") is not None
    cache.put(b"k3", vector(2))
    assert cache.get(b"k1") is None
    assert [cache.get(name) is not None for name in (b"k0", b"k2", b"k3")] == [True] * 3
    assert cache.bytes == 3 * SIZE


def test_it_is_a_dictionary_with_a_bound():
    """Against a plain model, over many random steps."""
    rng = random.Random(3)
    cache, model = LocalCache(max_bytes=5 * SIZE + 7), OrderedDict()
    for _ in range(5000):
        name = b"k%d" % rng.randrange(9)
        if rng.random() < 0.5:
            value = rng.random()
            cache.put(name, vector(value))
            model.pop(name, None)
            model[name] = value
            if len(model) > 5:
                model.popitem(last=False)
        else:
            found = cache.get(name)
            assert (found is None) == (name not in model)
            if found is not None:
                np.testing.assert_array_equal(found, vector(model[name]))
                model.move_to_end(name)
        assert len(cache) == len(model)
        assert cache.bytes == len(model) * SIZE


def test_what_is_kept_is_a_copy_that_nobody_changes():
    cache = LocalCache(max_bytes=10 * SIZE)
    batch = np.ones((64, 8), np.float32)
    cache.put(b"k0", batch[3])
    batch[:] = 5
    kept = cache.get(b"k0")
    np.testing.assert_array_equal(kept, vector(1))
    assert kept.base is None
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 2


@pytest.mark.parametrize("max_bytes", [0, SIZE - 1])
def test_too_large_for_it_is_not_kept(max_bytes):
    cache = LocalCache(max_bytes=max_bytes)
    cache.put(b"k0", vector(1))
    assert len(cache) == cache.bytes == 0
