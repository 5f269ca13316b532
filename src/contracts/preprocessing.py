"""From image bytes to the pixels that an encoder takes: the one implementation for training, indexing and serving.

Two libraries resize the same photo to visibly different pixels (bilinear without antialiasing moves embeddings by 0.04
to 0.06 in cosine), so decoding and resizing happen here and nowhere else. Normalisation is the encoder's own: it is
part of the exported graph, whose input is uint8 NHWC.
"""

import numpy as np

from src.contracts.decoding import MAX_PIXELS, MAX_SIDE, decode
from src.contracts.image_errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedImageError
from src.contracts.image_header import ImageFile
from src.contracts.jpeg_reduction import Box
from src.contracts.preprocessing_spec import PreprocessingSpec
from src.contracts.resizing import resize, seen_area

__all__ = [
    "Box",
    "CorruptImageError",
    "ImageError",
    "ImageTooLargeError",
    "MAX_PIXELS",
    "MAX_SIDE",
    "PreprocessingSpec",
    "UnsupportedImageError",
    "cut",
    "decode",
    "preprocess",
    "resize",
    "seen_area",
]


def preprocess(
    file: bytes | ImageFile, spec: PreprocessingSpec, *, box: Box | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """`decode`, `cut` and `resize`.

    Args:
        file: the bytes of an image file, or what `open_image` made of them; that is used up.
        spec: how pixels are made.
        box: the part of the picture that is shown; None takes all.
        max_pixels: larger images are refused.

    Returns:
        uint8 array of shape (size, size, 3).

    Raises:
        ImageError: as `decode`.
    """
    pixels = decode(file, spec=spec, box=box, max_pixels=max_pixels)
    return resize(pixels if box is None else cut(pixels, box), spec)


def cut(pixels: np.ndarray, box: Box) -> np.ndarray:
    """A part of a picture, at least one pixel of it.

    Args:
        pixels: array of shape (height, width, 3), at any scale.
        box: the part, within the picture.

    Returns:
        A view of shape (rows, columns, 3).
    """
    height, width = pixels.shape[:2]
    left, top, part_width, part_height = box
    return pixels[_span(top, part_height, height), _span(left, part_width, width)]


def _span(start: float, length: float, size: int) -> slice:
    first = min(round(start * size), size - 1)
    return slice(first, max(first + 1, min(round((start + length) * size), size)))
