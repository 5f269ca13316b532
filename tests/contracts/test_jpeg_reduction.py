"""JPEGs are decoded at the smallest scale that leaves resizing twice its pixels, however it resizes and cuts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.contracts.jpeg_reduction import jpeg_reduction, reduced
from src.contracts.preprocessing import cut
from src.contracts.preprocessing_spec import PreprocessingSpec


def pixels_for_each(spec: PreprocessingSpec, width: int, height: int) -> float:
    """Source pixels along a side for each pixel that `resize` makes, where there are fewest."""
    if spec.resize == "crop":
        return min(width, height) * spec.crop_fraction / spec.size
    return (max if spec.resize == "pad" else min)(width, height) / spec.size


@pytest.mark.parametrize(
    ("resize", "crop_fraction", "width", "height", "divisor"),
    [
        ("crop", 1.0, 4000, 3000, 4),
        ("crop", 0.5, 4000, 3000, 2),
        ("crop", 1.0, 8000, 894, 1),
        ("crop", 1.0, 8000, 896, 2),
        ("pad", 1.0, 8000, 895, 8),
        ("pad", 1.0, 894, 894, 1),
        ("squash", 1.0, 8000, 894, 1),
        ("squash", 1.0, 3584, 3584, 8),
        ("squash", 1.0, 3577, 3577, 8),  # An eighth is rounded up.
        ("squash", 1.0, 3576, 3576, 4),
    ],
)
def test_the_sides_that_count_are_those_that_resizing_uses(resize, crop_fraction, width, height, divisor):
    spec = PreprocessingSpec(size=224, resize=resize, crop_fraction=crop_fraction, decoding="reduced")
    assert jpeg_reduction(spec, width, height) == divisor
    assert jpeg_reduction(spec, height, width) == divisor


SPECS = st.builds(
    PreprocessingSpec,
    size=st.integers(8, 400),
    resize=st.sampled_from(["crop", "pad", "squash"]),
    crop_fraction=st.floats(0.05, 1),
    decoding=st.just("reduced"),
)
SIDES = st.integers(1, 9000)
PARTS = st.tuples(*[st.integers(0, 10_000)] * 4).map(
    lambda ends: (
        min(ends[0], ends[1]) / 1e4,
        min(ends[2], ends[3]) / 1e4,
        abs(ends[0] - ends[1]) / 1e4,
        abs(ends[2] - ends[3]) / 1e4,
    )
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(SPECS, SIDES, SIDES, st.none() | PARTS)
def test_at_least_twice_the_target_is_left_and_the_next_scale_would_leave_less(spec, width, height, box):
    divisor = jpeg_reduction(spec, width, height, box=box)
    assert divisor in (1, 2, 4, 8)

    def left(by: int) -> float:
        shape = np.broadcast_to(np.uint8(0), (reduced(height, by), reduced(width, by), 3))
        rows, columns = (shape if box is None else cut(shape, box)).shape[:2]
        return pixels_for_each(spec, columns, rows)

    if divisor > 1:
        assert left(divisor) >= 2
    if divisor < 8 and min(width, height) >= 2 * divisor:
        # A cut may lose a pixel to rounding, so that two pixels fewer count as too few.
        assert left(2 * divisor) < 2 + (0 if box is None else 2.5 / spec.size)


@pytest.mark.parametrize("spec", [None, PreprocessingSpec(size=8, decoding="full")])
def test_without_a_spec_and_by_a_spec_of_all_pixels_nothing_is_reduced(spec):
    assert jpeg_reduction(spec, 9000, 9000) == 1


def test_a_small_part_of_a_large_picture_keeps_its_pixels():
    spec = PreprocessingSpec(size=224, decoding="reduced")
    assert jpeg_reduction(spec, 8000, 6000) == 8
    assert jpeg_reduction(spec, 8000, 6000, box=(0.0, 0.0, 1.0, 1.0)) == 8
    assert jpeg_reduction(spec, 8000, 6000, box=(0.3, 0.3, 0.25, 0.25)) == 2
    assert jpeg_reduction(spec, 8000, 6000, box=(0.5, 0.5, 0.05, 0.05)) == 1
