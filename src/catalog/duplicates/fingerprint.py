"""The fingerprint of an image, 240 bytes, by which copies are found even if encoded again; how two compare."""

import hashlib

import numpy as np
from PIL import Image

from src.catalog.duplicates.perceptual_hash import perceptual_hash
from src.catalog.quality.measures import luma
from src.catalog.reduced_picture import reduced_picture
from src.contracts.pixel_box import PixelBox

__all__ = ["FINGERPRINT", "MAX_BITS", "MAX_COLOURS", "colour_difference", "fingerprint", "fingerprint_of"]

FINGERPRINT = np.dtype([("file", "S16"), ("bits", "u1", 32), ("colours", "u1", (8, 8, 3))])
"""SHA-256 of the file (its first 16 bytes), `perceptual_hash`, and the picture in 8 x 8 pixels."""

MAX_BITS = 40
"""Largest number of different bits, of 256, between two copies of an image: different ones differ in 90 or more."""

MAX_COLOURS = 0.08
"""Largest `colour_difference` between two copies."""

_LEAST_CONTRAST = 15.0


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
    """How far the colours of two pictures are apart, whatever their brightness and contrast.

    The mean difference of red less luma and blue less luma over the 8 x 8 pixels, each divided by its picture's
    contrast (the standard deviation of its luma, 15 at least).

    Args:
        a: uint8 of shape (pairs, 192): the `colours` of one image of each pair.
        b: of the other.

    Returns:
        float32 of shape (pairs,), from 0.
    """
    return np.asarray(np.abs(_chroma(a) - _chroma(b)).mean(axis=(1, 2)))


def _chroma(colours: np.ndarray) -> np.ndarray:
    """float32 of shape (pairs, 64, 2)."""
    pixels = colours.reshape(len(colours), 64, 3).astype(np.float32)
    grey = luma(pixels)
    contrast = np.maximum(grey.std(axis=1), _LEAST_CONTRAST)
    return np.asarray((pixels[..., [0, 2]] - grey[..., None]) / contrast[:, None, None])
