"""What users' photos suffer: edits of a decoded picture, under which an encoder's results can be measured."""

import io
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

__all__ = ["EDITS", "beside"]

Edit = Callable[[np.ndarray], np.ndarray]
"""From and to an upright picture, uint8 of shape (height, width, 3)."""

_QUALITY = 30
_BLUR = 0.01
_LIGHT = 0.3


def jpeg30(picture: np.ndarray) -> np.ndarray:
    """Saved as a JPEG of quality 30."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
    with Image.open(buffer) as read:
        return np.asarray(read.convert("RGB"))


def blur(picture: np.ndarray) -> np.ndarray:
    """Out of focus: a Gaussian whose standard deviation is 1 % of the shorter side."""
    sigma = _BLUR * min(picture.shape[:2])
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(picture), (0, 0), max(sigma, 0.1)), np.uint8)


def dark(picture: np.ndarray) -> np.ndarray:
    """Three tenths of the light, on the scale of the file's values."""
    return (picture * _LIGHT).round().astype(np.uint8)


def rotated90(picture: np.ndarray) -> np.ndarray:
    """A quarter turn anticlockwise: the phone was held the other way, and nobody noted it."""
    return np.ascontiguousarray(np.rot90(picture))


def quarter(picture: np.ndarray) -> np.ndarray:
    """The middle half of both sides: a quarter of the picture is left."""
    height, width = picture.shape[:2]
    top, left = height // 4, width // 4
    return np.ascontiguousarray(picture[top : max(top + 1, height - top), left : max(left + 1, width - left)])


EDITS: Mapping[str, Edit] = {
    "jpeg30": jpeg30,
    "blur": blur,
    "dark": dark,
    "rotated90": rotated90,
    "quarter": quarter,
}
"""Edits of one picture, by name."""


def beside(picture: np.ndarray, other: np.ndarray, *, left: bool) -> np.ndarray:
    """Two products in one photo: another picture, scaled to the same height, on one side of it.

    Args:
        picture: uint8 of shape (height, width, 3).
        other: likewise, of any size; it is cut to at most the picture's width, from its middle.
        left: whether the picture stays on the left.

    Returns:
        uint8 of shape (height, width + at most width, 3).
    """
    height, width = picture.shape[:2]
    scaled = max(1, round(other.shape[1] * height / other.shape[0]))
    other = np.asarray(Image.fromarray(other).resize((scaled, height), Image.Resampling.BILINEAR))
    start = max(0, (scaled - width) // 2)
    other = other[:, start : start + width]
    return np.concatenate([picture, other] if left else [other, picture], axis=1)
