"""Each measure is what its definition says, and moves the way that its fault goes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageFilter
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter1d

from src.catalog.quality.measures import (
    blur_effect,
    chroma,
    cut_off,
    edge_width,
    highlights,
    luma,
    measure,
    shadows,
    spread,
)
from tests.pictures import smooth_picture


def textured(side: int, seed: int) -> np.ndarray:
    """A picture with something to see everywhere."""
    noise = np.random.default_rng(seed).normal(0, 25, (side, side, 1))
    return np.clip(smooth_picture(side, side, seed=seed) + noise, 0, 255).astype(np.uint8)


def slow_blur(grey: np.ndarray) -> float:
    """Crete and others, as scikit-image writes it: the worse axis."""
    worst = 0.0
    for axis in (0, 1):
        again = uniform_filter1d(grey.astype(float), 9, axis=axis, mode="nearest")
        before = np.abs(np.diff(grey.astype(float), axis=axis))
        after = np.abs(np.diff(again, axis=axis))
        worst = max(worst, 1 - np.maximum(before - after, 0).sum() / before.sum())
    return worst


def slow_edge_width(grey: np.ndarray) -> float:
    contrast = maximum_filter(grey, 9, mode="nearest") - minimum_filter(grey, 9, mode="nearest")
    contrast = contrast[:-1, :-1]
    step = np.maximum(np.abs(np.diff(grey, axis=1))[:-1], np.abs(np.diff(grey, axis=0))[:, :-1])
    strong = contrast > max(0.7 * np.quantile(contrast, 0.9), 8)
    return float(1 / np.quantile(step[strong] / contrast[strong], 0.95))


@pytest.mark.parametrize("seed", range(4))
def test_blur_and_edges_equal_their_definitions(seed: int) -> None:
    grey = luma(smooth_picture(120 + seed, 90, seed=seed))
    assert blur_effect(grey) == pytest.approx(slow_blur(grey), abs=1e-4)
    assert edge_width(grey) == pytest.approx(slow_edge_width(grey), rel=0.02)


def test_levels_are_quantiles() -> None:
    pixels = smooth_picture(100, 80, seed=1)
    grey = np.rint(pixels @ [0.299, 0.587, 0.114])
    assert highlights(luma(pixels)) == pytest.approx(np.quantile(grey, 0.99, method="higher"), abs=1)
    assert shadows(luma(pixels)) == pytest.approx(np.quantile(grey, 0.01, method="higher"), abs=1)
    assert spread(pixels) == pytest.approx(pixels.reshape(-1, 3).std(axis=0).max(), abs=1e-3)
    apart = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
    assert chroma(pixels) == pytest.approx(np.quantile(apart, 0.99, method="higher"), abs=1)


def test_a_blurred_picture_has_more_blur_and_wider_edges() -> None:
    image = Image.fromarray(textured(256, 2))
    greys = [luma(np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4)]
    for of in (blur_effect, edge_width):
        values = [of(grey) for grey in greys]
        assert values == sorted(values)
        assert values[-1] > values[0] * 1.5


def test_motion_along_one_axis_counts() -> None:
    grey = luma(textured(200, 3))
    for axis in (0, 1):
        assert blur_effect(uniform_filter1d(grey, 15, axis=axis)) > blur_effect(grey) + 0.2


@pytest.mark.parametrize("turns", range(4))
def test_missing_data_is_found_on_any_side(turns: int) -> None:
    pixels = smooth_picture(100, 100, seed=4)
    pixels[-30:] = 128
    assert cut_off(np.rot90(pixels, turns)) == pytest.approx(0.3)


def test_padding_is_no_missing_data() -> None:
    pixels = smooth_picture(100, 80, seed=5)
    padded = pixels.copy()
    padded[:20] = padded[-20:] = 128
    assert cut_off(pixels) == cut_off(padded) == 0
    white = pixels.copy()
    white[-20:] = 255
    assert cut_off(white) == 0


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24).map(lambda side: (*side, 3))))
@settings(max_examples=60, deadline=None)
def test_any_picture_has_finite_measures(pixels: np.ndarray) -> None:
    found = measure(pixels)
    values = np.array([getattr(found, name) for name in found.__dataclass_fields__])
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert found.blur <= 1
    assert found.cut_off <= 1
    assert found.shadows <= found.highlights
