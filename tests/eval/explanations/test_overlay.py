"""A map over its image."""

import numpy as np
from PIL import Image

from src.eval.explanations.overlay import overlay
from tests.pictures import smooth_picture


def test_only_what_is_positive_is_coloured() -> None:
    pixels = smooth_picture(32, 32, seed=0)
    plain = np.asarray(Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC))
    for nothing in (np.zeros((32, 32)), np.full((32, 32), -1.0)):
        np.testing.assert_array_equal(np.asarray(overlay(pixels, nothing, side=96)), plain)
    attribution = np.full((32, 32), -0.5)
    attribution[8:16, 8:16] = 2e-6
    drawn = overlay(pixels, attribution, side=96)
    assert (drawn.mode, drawn.size) == ("RGB", (96, 96))
    changed = (np.asarray(drawn) != plain).any(axis=2)
    assert changed[30:42, 30:42].mean() > 0.95
    assert not changed[:20].any()
    assert not changed[:, 60:].any()


def test_a_single_strong_pixel_is_still_drawn() -> None:
    pixels = smooth_picture(32, 32, seed=1)
    attribution = np.zeros((32, 32))
    attribution[20, 20] = 1
    assert not np.array_equal(np.asarray(overlay(pixels, attribution)), np.asarray(overlay(pixels, 0 * attribution)))
