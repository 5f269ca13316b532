"""Resizing is antialiased, shows what it says, and takes any shape."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from src.contracts.preprocessing_spec import PreprocessingSpec
from src.contracts.resizing import resize, seen_area
from tests.pictures import smooth_picture


def worst(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


TORCHVISION = {"bicubic": InterpolationMode.BICUBIC, "bilinear": InterpolationMode.BILINEAR}


def by_torchvision(pixels: np.ndarray, size: int, interpolation: str, *, antialias: bool) -> np.ndarray:
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    resized = tv.resize(images, [size, size], interpolation=TORCHVISION[interpolation], antialias=antialias)
    return resized.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    ("height", "width", "size"), [(800, 800, 224), (300, 451, 128), (97, 60, 224), (500, 333, 32), (224, 224, 224)]
)
def test_resizing_agrees_with_torchvision_antialiased(interpolation: str, height: int, width: int, size: int) -> None:
    pixels = smooth_picture(height, width, seed=height)
    ours = resize(pixels, PreprocessingSpec(size=size, resize="squash", interpolation=interpolation))
    theirs = by_torchvision(pixels, size, interpolation, antialias=True)
    # Both round to bytes between the two passes; bicubic's overshoot at edges makes 2 of a few of the ones.
    assert worst(ours, theirs) <= 2
    assert (np.abs(ours.astype(int) - theirs) <= 1).mean() > 0.999


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_the_comparison_notices_resizing_without_antialiasing(interpolation: str) -> None:
    pixels = smooth_picture(800, 800, seed=800)
    ours = resize(pixels, PreprocessingSpec(size=224, resize="squash", interpolation=interpolation))
    assert worst(ours, by_torchvision(pixels, 224, interpolation, antialias=False)) > 10
    assert worst(ours, cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_LINEAR)) > 10


def test_crop_takes_the_centre_of_the_longer_side() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 200
    for rows in (pixels, pixels.transpose(1, 0, 2)):
        # Its kernel is cut off at the crop's border, so that nothing of the rest bleeds in.
        assert (resize(np.ascontiguousarray(rows), PreprocessingSpec(size=20)) == 200).all()


def test_crop_fraction_keeps_that_part_of_the_shorter_side() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30, 10:30] = smooth_picture(20, 20, seed=5)
    ours = resize(pixels, PreprocessingSpec(size=20, crop_fraction=0.5))
    np.testing.assert_array_equal(ours, pixels[10:30, 10:30])


def test_pad_shows_all_of_the_image_on_white() -> None:
    pixels = np.full((20, 60, 3), 10, np.uint8)
    padded = resize(pixels, PreprocessingSpec(size=30, resize="pad"))
    assert (padded[10:20] == 10).all()
    assert (padded[:10] == 255).all()
    assert (padded[20:] == 255).all()
    upright = resize(np.ascontiguousarray(pixels.transpose(1, 0, 2)), PreprocessingSpec(size=30, resize="pad"))
    np.testing.assert_array_equal(upright, padded.transpose(1, 0, 2))


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (3000, 1), (2, 7), (9, 8)])
def test_no_shape_of_image_is_too_odd(mode: str, height: int, width: int) -> None:
    pixels = np.full((height, width, 3), 77, np.uint8)
    resized = resize(pixels, PreprocessingSpec(size=24, resize=mode, crop_fraction=0.3))
    assert resized.shape == (24, 24, 3)
    assert 77 in resized


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(120, 60), (60, 120), (80, 80)])
def test_seen_area_is_what_resize_shows(mode, size):
    """A bright mark in the image lies where the area says."""
    width, height = size
    spec = PreprocessingSpec(size=60, resize=mode, crop_fraction=0.8, interpolation="bilinear")
    x, y, w, h = seen_area(spec, width, height)
    for at_x, at_y in ((0.5, 0.5), (0.55, 0.4), (0.4, 0.58)):
        pixels = np.zeros((height, width, 3), np.uint8)
        column, row = int(at_x * width), int(at_y * height)
        pixels[row - 3 : row + 3, column - 3 : column + 3] = 255
        shown = resize(pixels, spec)[..., 0].astype(float)
        inside = (np.arange(60) + 0.5) / 60
        ys, xs = np.meshgrid(y + h * inside, x + w * inside, indexing="ij")
        within = (xs > 0) & (xs < 1) & (ys > 0) & (ys < 1)
        weights = shown * within
        assert (weights * xs).sum() / weights.sum() == pytest.approx(column / width, abs=0.02)
        assert (weights * ys).sum() / weights.sum() == pytest.approx(row / height, abs=0.02)
