"""The small picture of a file that its quality is judged by and its fingerprint is taken of."""

import numpy as np
from PIL import Image

from src.contracts.pixel_box import PixelBox, fractions_of
from src.contracts.preprocessing import MAX_PIXELS, PreprocessingSpec, cut, decode

__all__ = ["SIDE", "reduced_picture", "to_side"]

SIDE = 256
"""Longer side in pixels, at most: what is blurred at this size, is blurred for an encoder."""

# A JPEG is decoded at a scale that leaves both sides at least 256 pixels.
_SPEC = PreprocessingSpec(size=SIDE // 2, resize="squash")


def reduced_picture(data: bytes, *, box: PixelBox | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a file, a JPEG at a reduced scale, cut it to a box, and reduce it as `to_side` does.

    Args:
        data: the bytes of an image file.
        box: the part of the picture that shows the item; None takes all.
        max_pixels: larger pictures are refused.

    Returns:
        uint8 of shape (rows, columns, 3), RGB.

    Raises:
        ImageError: as `decode` and `fractions_of`.
    """
    part = None if box is None else fractions_of(box, data)
    pixels = decode(data, spec=_SPEC, box=part, max_pixels=max_pixels)
    return to_side(pixels if part is None else cut(pixels, part))


def to_side(pixels: np.ndarray) -> np.ndarray:
    """Reduce a picture until its longer side has `SIDE` pixels, by the means of areas; smaller ones stay as they are.

    Args:
        pixels: uint8 of shape (height, width, 3).

    Returns:
        uint8 of shape (rows, columns, 3).
    """
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
