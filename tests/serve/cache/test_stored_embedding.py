import struct
import zlib

import numpy as np
import pytest

from serve.cache.stored_embedding import pack_embedding, unpack_embedding

KEY = b"lookalike:embedding:1:abc:def"


def unit(dim: int, seed: int = 0) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def forged(numbers: np.ndarray, *, key: bytes = KEY, magic: bytes = b"LKE1", dim: int | None = None) -> bytes:
    data = numbers.astype("<f2").tobytes()
    return struct.pack("<4sII", magic, len(numbers) if dim is None else dim, zlib.crc32(data, zlib.crc32(key))) + data


@pytest.mark.parametrize("dim", [1, 2, 48, 1280])
def test_round_trip_keeps_the_direction(dim):
    for seed in range(20):
        vector = unit(dim, seed)
        data = pack_embedding(KEY, vector)
        assert len(data) == 12 + 2 * dim
        found = unpack_embedding(KEY, data)
        assert found.dtype == np.float32
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
        assert float(found.astype(np.float64) @ vector.astype(np.float64)) > 1 - 1e-6


def test_one_hot_and_tiny_numbers_survive():
    vector = np.array([1, 0, 1e-9, -1e-6], np.float32)
    np.testing.assert_allclose(unpack_embedding(KEY, pack_embedding(KEY, vector)), vector, atol=1e-6)


@pytest.mark.parametrize(
    "data",
    [
        None,
        42,
        "text",
        b"",
        b"LKE1",
        b"x" * 108,
        pack_embedding(KEY, unit(48))[:-1],
        pack_embedding(KEY, unit(48)) + b"\0",
        forged(unit(48), magic=b"LKE2"),
        forged(unit(48), dim=47),
        forged(unit(48), dim=2**31),
        forged(unit(48), key=b"another"),
        forged(np.full(48, np.nan)),
        forged(np.full(48, np.inf)),
        forged(np.zeros(48)),
        forged(3 * unit(48)),
        forged(np.empty(0)),
    ],
)
def test_anything_else_is_foreign(data):
    assert unpack_embedding(KEY, data) is None


def test_every_changed_byte_is_noticed():
    data = pack_embedding(KEY, unit(48))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x10
        assert unpack_embedding(KEY, bytes(changed)) is None
