"""From decoded pixels to the pixels that an encoder takes, antialiased."""

import numpy as np
from PIL import Image

from src.contracts.preprocessing_spec import PreprocessingSpec

__all__ = ["resize", "resizing_bytes", "seen_area"]

_WHITE = (255, 255, 255)
_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resize(pixels: np.ndarray, spec: PreprocessingSpec) -> np.ndarray:
    """Resize decoded pixels to what the encoder takes, antialiased.

    Args:
        pixels: uint8 array of shape (height, width, 3).
        spec: the size and the way of resizing.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    method = _FILTERS[spec.interpolation]
    if spec.resize == "crop":
        side = min(width, height) * spec.crop_fraction
        left, top = (width - side) / 2, (height - side) / 2
        image = image.resize((spec.size, spec.size), method, box=(left, top, left + side, top + side))
    elif spec.resize == "pad":
        # Not ImageOps.pad: of a very long image it leaves no pixel at all.
        inner_width, inner_height = (max(1, round(side / max(width, height) * spec.size)) for side in (width, height))
        inner = image.resize((inner_width, inner_height), method)
        image = Image.new("RGB", (spec.size, spec.size), _WHITE)
        image.paste(inner, (round((spec.size - inner_width) / 2), round((spec.size - inner_height) / 2)))
    else:
        image = image.resize((spec.size, spec.size), method)
    return np.asarray(image)


def resizing_bytes(spec: PreprocessingSpec, width: int, height: int) -> int:
    """An upper bound of the memory that `resize` takes beside the decoded pixels, in bytes."""
    # Pillow's copy; after its first pass, which may be that of the rows or of the columns; the result, twice.
    return 4 * width * height + 4 * spec.size * max(width, height) + 8 * spec.size**2


def seen_area(spec: PreprocessingSpec, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of an image that `resize` shows to the encoder.

    Args:
        spec: the way of resizing.
        width: of the decoded image, in pixels.
        height: likewise.

    Returns:
        Left edge, upper edge, width and height, in fractions of the image; with `pad` it is larger than the image.
    """
    if spec.resize == "squash":
        return 0.0, 0.0, 1.0, 1.0
    side = min(width, height) * spec.crop_fraction if spec.resize == "crop" else max(width, height)
    return (1 - side / width) / 2, (1 - side / height) / 2, side / width, side / height
