"""A hash of 256 bits of what a picture looks like: copies that were encoded or scaled anew differ in few of them.

Frequencies, median and number of bits are those of PDQ (Davis, Rosen: PDQ & TMK + PDQF, a test drive of Facebook's
perceptual hashing algorithms, 2021). The 64 x 64 pixels before them are not: PDQ takes single pixels after a narrow
filter, so that a picture's size shows in its bits; here they are antialiased. The hashes of the two cannot be compared.
"""

from functools import cache

import numpy as np
from PIL import Image

from src.catalog.quality.measures import luma

__all__ = ["BITS", "dihedral_hashes", "hamming", "perceptual_hash"]

BITS = 256

_SMALL, _KEPT = 64, 16


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """The hash of a picture.

    Of the discrete cosine transform of its luma in 64 x 64 pixels, whether each of the 16 x 16 lowest frequencies but
    the mean's row and column is above their median.

    Args:
        pixels: uint8 of shape (height, width, 3), RGB.

    Returns:
        The bits, by rows of frequencies: uint8 of shape (32,).
    """
    return _bits(_frequencies(pixels))


def dihedral_hashes(pixels: np.ndarray) -> np.ndarray:
    """The hashes of a picture as it is, mirrored, turned upside down, both, and of the four with their axes exchanged.

    With them the hash of any of these eight views of a picture is found. A mirrored picture has the same frequencies,
    of which every second along the axis has the other sign.

    Args:
        pixels: uint8 of shape (height, width, 3), RGB.

    Returns:
        uint8 of shape (8, 32); the first is `perceptual_hash`'s.
    """
    low = _frequencies(pixels)
    # They are numbered from 1: the first has an odd number.
    signs = np.where(np.arange(_KEPT) % 2 == 0, -1, 1).astype(low.dtype)
    views = (low, low * signs, low * signs[:, None], low * signs * signs[:, None])
    return np.stack([_bits(each) for each in (*views, *(each.T for each in views))])


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many bits differ.

    Args:
        a: uint8 of shape (..., 32).
        b: likewise; the leading axes are broadcast.

    Returns:
        int64 of shape (...).
    """
    return np.asarray(np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64))


def _bits(low: np.ndarray) -> np.ndarray:
    return np.packbits(low > np.median(low))


def _frequencies(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels).resize((_SMALL, _SMALL), Image.Resampling.BILINEAR)
    transform = _transform()
    return np.asarray(transform @ luma(np.asarray(image)) @ transform.T)


@cache
def _transform() -> np.ndarray:
    """Rows 1 to 16 of the discrete cosine transform of 64 values; row 0 is the mean's."""
    rows, columns = np.arange(1, _KEPT + 1)[:, None], np.arange(_SMALL)
    values = np.sqrt(2 / _SMALL) * np.cos(np.pi / (2 * _SMALL) * rows * (2 * columns + 1))
    return np.asarray(values, np.float32)
