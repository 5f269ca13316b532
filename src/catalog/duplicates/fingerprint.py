"""The fingerprint of an image, 240 bytes, by which copies are found even if encoded again; how two compare."""

import hashlib

import numpy as np
from PIL import Image

from src.catalog.duplicates.perceptual_hash import perceptual_hash
from src.catalog.reduced_picture import reduced_picture
from src.contracts.pixel_box import PixelBox

__all__ = ["FINGERPRINT", "MAX_BITS", "MAX_COLOURS", "colour_difference", "fingerprint", "fingerprint_of"]

FINGERPRINT = np.dtype([("file", "S16"), ("bits", "u1", 32), ("colours", "u1", (8, 8, 3))])
"""SHA-256 of the file (its first 16 bytes), `perceptual_hash`, and the picture in 8 x 8 pixels."""

MAX_BITS = 40
"""Largest number of different bits, of 256, between two copies of an image: different ones differ in 90 or more."""

MAX_COLOURS = 5.0
"""Largest mean difference of the 8 x 8 pixels' channels, 0..255, after a correction of brightness."""


def fingerprint(data: bytes, box: PixelBox | None = None) -> np.ndarray:
    """The fingerprint of one image file.

    Args:
        data: the file.
        box: the part of the picture that counts; None for all of it.

    Returns:
        A scalar of type `FINGERPRINT`.

    Raises:
        ImageError: the file is not an image, or the box reaches out of it.
    """
    return fingerprint_of(reduced_picture(data, box=box), data, box)


def fingerprint_of(pixels: np.ndarray, data: bytes, box: PixelBox | None = None) -> np.ndarray:
    """The fingerprint of a file whose `reduced_picture` is there already.

    Args:
        pixels: uint8 of shape (rows, columns, 3).
        data: the file.
        box: the part of the picture that counts; None for all of it.

    Returns:
        A scalar of type `FINGERPRINT`.
    """
    colours = np.asarray(Image.fromarray(pixels).resize((8, 8), Image.Resampling.BOX))
    # A last byte of 1, since NumPy removes zeros at the end of byte strings.
    digest = hashlib.sha256(data if box is None else data + repr(box).encode()).digest()[:15] + b"\1"
    return np.array((digest, perceptual_hash(pixels), colours), FINGERPRINT)


def colour_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean difference of two images after equalising their brightness.

    Args:
        a: uint8 of shape (pairs, 192): the `colours` of one image of each pair.
        b: of the other.

    Returns:
        float32 of shape (pairs,), 0..255.
    """
    a, b = a.astype(np.float32), b.astype(np.float32)
    light = (a.mean(axis=1) + 1) / (b.mean(axis=1) + 1)
    # The darker image is brightened, so that differences are on the brighter one's scale.
    return np.abs(a * np.maximum(1 / light, 1)[:, None] - b * np.maximum(light, 1)[:, None]).mean(axis=1)
