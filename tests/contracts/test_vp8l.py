"""Sets of Huffman tables are counted as libwebp makes them, in an encoder's files and in files made for the purpose."""

import time

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving.bombs import lossless_webp
from src.contracts.decoding import decode
from src.contracts.vp8l import MOST_TABLES, huffman_tables
from src.contracts.webp import read_webp
from tests.pictures import encode, smooth_picture


def counted(data: bytes) -> int:
    webp = read_webp(data)
    assert webp.entropy_coded is not None
    return huffman_tables(data[webp.entropy_coded], *webp.frame[2:])


@pytest.mark.parametrize(
    ("tables", "count"),
    [
        ([0], 1),
        ([0, 1], 2),
        ([0, 299, 7], 300),
        (list(range(1000)), 1000),
        (list(range(0, 4096, 5)), 820),  # Above a thousand, those that no block names are not made.
        (list(range(4096)), 4096),
    ],
)
def test_sets_that_blocks_name_are_counted(tables: list[int], count: int) -> None:
    data = lossless_webp(256, tables)
    assert (decode(data) == 0).all()  # libwebp reads it.
    assert counted(data) == count


@pytest.mark.parametrize("method", [0, 2, 4, 5])
@pytest.mark.parametrize("kind", ["colours", "few colours", "alpha", "noise", "long"])
def test_encoders_make_few(kind: str, method: int) -> None:
    """A file that is misread gives the most that it has room for, which is thousands."""
    picture = smooth_picture(*((20, 3000) if kind == "long" else (300, 400)), seed=method)
    if kind == "noise":
        picture = np.random.default_rng(method).integers(0, 256, picture.shape, dtype=np.uint8)
    image = Image.fromarray(picture)
    if kind == "few colours":
        image = image.quantize(3 + 20 * method).convert("RGB")
    if kind == "alpha":
        image.putalpha(Image.fromarray(picture[..., 1]))
        data = encode(image, "WEBP", method=method)
    else:
        data = encode(image, "WEBP", lossless=True, method=method, quality=15 * method)
    assert counted(data) <= 100


def test_what_cannot_be_read_counts_as_the_most_there_is_room_for() -> None:
    noise = np.random.default_rng(0).bytes(200_000)
    assert huffman_tables(b"", 4000, 4000) == 1
    assert huffman_tables(b"\x0f" + noise, 4000, 4000) == MOST_TABLES
    assert huffman_tables(b"\x0f" + noise, 40, 40) == 100
    assert huffman_tables(b"\x0f" + noise[:100], 4000, 4000) == 40


@pytest.mark.parametrize("seed", range(100))
def test_damaged_bits_are_counted_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encode(smooth_picture(60, 70, seed=seed), "WEBP", lossless=True))
    for place in rng.integers(25, len(data), 4):
        data[place] = rng.integers(256)
    assert 1 <= counted(bytes(data)) <= 15 * 18


def test_large_images_at_the_front_are_not_read_in_python():
    """A few bits can stand for an image of millions of pixels."""
    stream = lossless_webp(2048, [0, 1])[25:]
    started = time.thread_time()
    assert huffman_tables(stream, 2048, 2048) > 1_000
    assert time.thread_time() - started < 0.5
