"""The hash is what its definition says, hardly moves with encoding and size, and knows turned pictures."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from src.catalog.duplicates.fingerprint import MAX_BITS
from src.catalog.duplicates.perceptual_hash import dihedral_hashes, hamming, perceptual_hash
from tests.pictures import encode, smooth_picture


def by_definition(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR)
    low = dctn(np.asarray(small).astype(float) @ [0.299, 0.587, 0.114], norm="ortho")[1:17, 1:17]
    return (low > np.median(low)).ravel()


def test_equals_its_definition() -> None:
    for seed, shape in enumerate([(64, 64), (256, 200), (90, 256), (31, 17)]):
        pixels = smooth_picture(*shape, seed=seed)
        # Two frequencies next to the median may change places by float32's rounding.
        assert (np.unpackbits(perceptual_hash(pixels)) != by_definition(pixels)).sum() <= 2


def test_all_eight_views_are_known() -> None:
    pixels = smooth_picture(256, 180, seed=3)
    flips = [pixels, pixels[:, ::-1], pixels[::-1], pixels[::-1, ::-1]]
    views = flips + [view.transpose(1, 0, 2) for view in flips]
    hashes = dihedral_hashes(pixels)
    np.testing.assert_array_equal(hashes[0], perceptual_hash(pixels))
    for number, view in enumerate(views):
        apart = hamming(hashes, perceptual_hash(np.ascontiguousarray(view)))
        assert apart[number] <= 2
        assert np.delete(apart, number).min() > 60


def test_copies_are_near_and_others_are_not() -> None:
    pictures = [smooth_picture(240, 256, seed=seed) for seed in range(20)]
    hashes = np.stack([perceptual_hash(picture) for picture in pictures])
    for picture, own in zip(pictures, hashes, strict=True):
        half = Image.fromarray(picture).resize((128, 120), Image.Resampling.BICUBIC)
        copy = np.asarray(Image.open(io.BytesIO(encode(half, "JPEG", quality=50))))
        assert hamming(perceptual_hash(copy), own) <= MAX_BITS
    apart = hamming(hashes[:, None], hashes[None])[np.triu_indices(20, 1)]
    assert apart.min() > 60


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (200, 2)])
def test_pictures_of_few_pixels_have_a_hash(shape: tuple[int, int]) -> None:
    assert perceptual_hash(np.zeros((*shape, 3), np.uint8)).shape == (32,)


def test_hamming_counts_bits() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 7, 32), np.uint8)
    np.testing.assert_array_equal(hamming(a, b), (np.unpackbits(a, axis=1) != np.unpackbits(b, axis=1)).sum(axis=1))
