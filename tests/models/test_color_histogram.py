"""The classical baseline against NumPy's histograms."""

import colorsys

import numpy as np
import pytest

from src.models.color_histogram import color_histogram


def by_hand(image: np.ndarray) -> np.ndarray:
    counts = np.zeros((8, 8, 4))
    for red, green, blue in image.reshape(-1, 3) / 255.0:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        # OpenCV keeps hue in steps of 2 degrees, and the others in 255ths.
        h, s, v = round(hue * 180) % 180, round(saturation * 255), round(value * 255)
        counts[h * 8 // 180, s // 32, v // 64] += 1
    return np.sqrt(counts.ravel() / counts.sum())


def test_it_is_the_root_of_an_hsv_histogram() -> None:
    # Colours well inside their bins: at a bin's edge, the rounding of the conversion decides.
    palette = np.array([[200, 30, 40], [20, 180, 60], [40, 50, 220], [120, 120, 120], [250, 250, 250], [10, 10, 10]])
    rng = np.random.default_rng(0)
    images = palette[rng.integers(0, 6, (4, 12, 10))].astype(np.uint8)
    vectors = color_histogram(images)
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 256))
    np.testing.assert_allclose(vectors, [by_hand(image) for image in images], atol=1e-6)


def test_cosine_is_the_bhattacharyya_coefficient() -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 20, 20, 3), dtype=np.uint8)
    vectors = color_histogram(images)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    shares = vectors.astype(np.float64) ** 2
    assert vectors[0] @ vectors[1] == pytest.approx(np.sqrt(shares[0] * shares[1]).sum(), abs=1e-6)


def test_places_do_not_matter_and_channels_do() -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    turned = np.ascontiguousarray(image[:, ::-1].transpose(0, 2, 1, 3))
    np.testing.assert_allclose(color_histogram(turned), color_histogram(image), atol=1e-7)
    red, blue = (np.full((1, 4, 4, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    assert (color_histogram(red) @ color_histogram(blue).T).item() == 0
