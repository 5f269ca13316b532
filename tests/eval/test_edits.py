"""Edits of pictures: what they keep and what they change, also of pictures of a few pixels."""

import numpy as np
import pytest

from src.eval.edits import EDITS, beside

rng = np.random.default_rng(0)
SHAPES = [(60, 80), (61, 33), (1, 1), (1, 7), (5, 2)]


def picture(height: int, width: int) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", EDITS)
def test_each_edit_makes_a_picture_and_leaves_its_own_alone(name: str, shape: tuple[int, int]) -> None:
    before = picture(*shape)
    kept = before.copy()
    made = EDITS[name](before)
    assert made.dtype == np.uint8
    assert made.ndim == 3
    assert made.shape[2] == 3
    assert made.size
    np.testing.assert_array_equal(before, kept)


def test_blur_keeps_the_mean_and_takes_the_detail() -> None:
    before = picture(200, 300)
    after = EDITS["blur"](before)
    assert after.shape == before.shape
    assert abs(after.mean() - before.mean()) < 1
    assert after.std() < 0.3 * before.std()
    flat = np.full((50, 60, 3), 77, np.uint8)
    np.testing.assert_array_equal(EDITS["blur"](flat), flat)


def test_dark_quarter_and_turn_by_hand() -> None:
    before = picture(8, 12)
    np.testing.assert_array_equal(EDITS["dark"](before), np.rint(before * 0.3))
    np.testing.assert_array_equal(EDITS["quarter"](before), before[2:6, 3:9])
    turned = EDITS["rotated90"](before)
    assert turned.shape == (12, 8, 3)
    np.testing.assert_array_equal(turned[0], before[:, -1])


def test_jpeg_is_near_and_not_equal() -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    before = np.repeat(np.stack([ramp, ramp[::-1]]).repeat(32, axis=0)[:, :, None], 3, axis=2)
    difference = np.abs(EDITS["jpeg30"](before).astype(int) - before)
    assert 0 < difference.mean() < 20


@pytest.mark.parametrize("left", [True, False])
def test_two_pictures_stand_beside_each_other_at_one_height(left: bool) -> None:
    first = picture(40, 50)
    both = beside(first, picture(20, 10), left=left)
    assert both.shape == (40, 70, 3)  # 20 x 10 at twice the size.
    np.testing.assert_array_equal(both[:, :50] if left else both[:, 20:], first)
    wide = beside(first, picture(10, 400), left=left)
    assert wide.shape == (40, 100, 3), "the other is no wider than the picture"
