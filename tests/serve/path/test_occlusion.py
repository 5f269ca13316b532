import numpy as np
import pytest

from serve.path.occlusion import CELLS, covered, losses


def embed(pixels: np.ndarray) -> np.ndarray:
    """A known encoder: the brightness of each quarter of the picture, normalised."""
    half = pixels.shape[1] // 2
    quarters = [pixels[:, y : y + half, x : x + half].mean(axis=(1, 2, 3)) for y in (0, half) for x in (0, half)]
    vectors = np.array(quarters, np.float32).T + 1e-3
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(("size", "cells"), [(14, 7), (64, 7), (224, 7), (32, 7), (9, 3), (8, 8), (5, 1)])
def test_every_pixel_is_covered_once_by_the_mean_colour(size, cells):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    copies = covered(pixels, cells)
    assert copies.shape == (1 + cells * cells, size, size, 3)
    np.testing.assert_array_equal(copies[0], pixels)
    mean = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    times = np.zeros((size, size), int)
    for cell, copy in enumerate(copies[1:]):
        changed = (copy != pixels).any(axis=2)
        assert (copy[changed] == mean).all()
        rows, columns = np.nonzero((copy == mean).all(axis=2))
        row, column = divmod(cell, cells)
        inside = (rows >= row * size // cells - 1) & (columns >= column * size // cells - 1)
        assert inside[changed[rows, columns]].all()
        times += changed
    assert times[(pixels != mean).any(axis=2)].min() == times.max() == 1


def test_only_the_part_that_the_encoder_looks_at_loses_anything():
    """An encoder that sees one quarter: it is what makes the picture like a bright target."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 40, (28, 28, 3), dtype=np.uint8)
    pixels[16:, :12] = 250
    seen = covered(pixels)[:, 16:, :12].mean(axis=(1, 2, 3)) / 255
    vectors = np.column_stack([seen, np.ones_like(seen)]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    score, lost = losses(vectors, np.array([1, 0], np.float32))
    assert score == pytest.approx(vectors[0, 0])
    assert lost.shape == (CELLS, CELLS)
    assert lost[4:, :3].min() > 0.01
    lost[4:, :3] = 0
    assert np.abs(lost).max() == 0


def test_another_target_gives_another_map():
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    vectors = embed(covered(pixels))
    axes = np.eye(4, dtype=np.float32)
    maps = [losses(vectors, axis)[1] for axis in axes]
    assert all(np.corrcoef(maps[0].ravel(), other.ravel())[0, 1] < 0.5 for other in maps[1:])
    np.testing.assert_allclose(losses(vectors, axes[0])[1].ravel(), vectors[0, 0] - vectors[1:, 0], atol=1e-7)


def test_constant_picture_loses_nothing():
    _, lost = losses(embed(covered(np.full((14, 14, 3), 77, np.uint8))), np.eye(4, dtype=np.float32)[0])
    assert np.abs(lost).max() == 0
