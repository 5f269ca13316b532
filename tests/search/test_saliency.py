import numpy as np
import pytest

from src.search.saliency import _best_rectangle, salient_boxes


def scene(height: int, width: int, *objects: tuple[int, int, int, int]) -> np.ndarray:
    """Red things (top, bottom, left, right) on a greyish background."""
    rng = np.random.default_rng(height * width)
    pixels = rng.integers(110, 140, (height, width, 3), dtype=np.uint8)
    for top, bottom, left, right in objects:
        pixels[top:bottom, left:right] = rng.integers(0, 30, (bottom - top, right - left, 3)) + [200, 10, 20]
    return pixels


def slow_best(values: np.ndarray) -> float:
    rows, columns = values.shape
    return max(
        values[top:bottom, left:right].sum()
        for top in range(rows)
        for bottom in range(top + 1, rows + 1)
        for left in range(columns)
        for right in range(left + 1, columns + 1)
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (5, 8), (8, 8)])
def test_rectangle_has_the_largest_sum_of_all(shape):
    rng = np.random.default_rng(sum(shape))
    for values in (rng.normal(size=shape), -rng.random(shape), np.zeros(shape), np.round(rng.normal(size=shape))):
        top, bottom, left, right = _best_rectangle(values)
        assert top < bottom
        assert left < right
        assert values[top:bottom, left:right].sum() == pytest.approx(slow_best(values))


@pytest.mark.parametrize("size", [(320, 480), (1500, 900), (64, 64)])
def test_box_is_around_the_object(size):
    height, width = size
    top, bottom, left, right = height // 3, height * 2 // 3, width // 4, width // 2
    [(box, score)] = salient_boxes(scene(height, width, (top, bottom, left, right)), 1)
    assert score > 0.5
    assert box.x <= left / width + 0.02
    assert box.x + box.width >= right / width - 0.02
    assert box.y <= top / height + 0.02
    assert box.y + box.height >= bottom / height - 0.02
    assert box.width * box.height < 0.6


def test_several_objects_have_a_box_each_the_larger_first():
    found = salient_boxes(scene(400, 400, (60, 200, 60, 200), (250, 330, 250, 330)), 5)
    assert len(found) == 2
    (first, _), (second, _) = found
    assert (first.x, first.y) < (second.x, second.y)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((100, 80, 3), 77, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((3, 3000, 3), np.uint8),
        np.full((3000, 2, 3), 255, np.uint8),
        scene(200, 200),
    ],
)
def test_picture_without_an_object_has_no_box(pixels):
    assert salient_boxes(pixels, 3) == []


@pytest.mark.filterwarnings("error")
def test_noise_is_answered_within_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = rng.integers(1, 90, 2)
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if rng.random() < 0.5:
            pixels[: height // 2] = rng.integers(0, 256, 3)
        for box, score in salient_boxes(pixels, 3):
            assert 0 < score <= 1
            assert box.cut(pixels).size
            assert min(box.x, box.y) >= 0
            assert max(box.x + box.width, box.y + box.height) <= 1.0001
