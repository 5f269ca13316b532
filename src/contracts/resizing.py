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
_STRIP = 1_000_000  # pixels


def resize(pixels: np.ndarray, spec: PreprocessingSpec) -> np.ndarray:
    """Resize decoded pixels to what the encoder takes, antialiased.

    Args:
        pixels: uint8 array of shape (height, width, 3).
        spec: the size and the way of resizing.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    height, width = pixels.shape[:2]
    method = _FILTERS[spec.interpolation]
    if spec.resize == "crop":
        side = min(width, height) * spec.crop_fraction
        left, top = (width - side) / 2, (height - side) / 2
        image = _resample(pixels, (spec.size, spec.size), method, (left, top, left + side, top + side))
    elif spec.resize == "pad":
        # Not ImageOps.pad: of a very long image it leaves no pixel at all.
        inner_width, inner_height = (max(1, round(side / max(width, height) * spec.size)) for side in (width, height))
        inner = _resample(pixels, (inner_width, inner_height), method, (0, 0, width, height))
        image = Image.new("RGB", (spec.size, spec.size), _WHITE)
        image.paste(inner, (round((spec.size - inner_width) / 2), round((spec.size - inner_height) / 2)))
    else:
        image = _resample(pixels, (spec.size, spec.size), method, (0, 0, width, height))
    return np.asarray(image)


def resizing_bytes(spec: PreprocessingSpec, width: int, height: int) -> int:
    """An upper bound of the memory that `resize` takes beside the decoded pixels, in bytes."""
    # The rows after the first pass: as an array and as Pillow's; before it a strip, at least a row.
    return 7 * spec.size * height + 8 * max(min(width * height, _STRIP), width) + 8 * spec.size**2


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


def _resample(
    pixels: np.ndarray,
    size: tuple[int, int],
    method: Image.Resampling,
    box: tuple[float, float, float, float],
) -> Image.Image:
    """Pillow's resize, which copies the whole picture at 4 bytes a pixel; strip by strip where that is much."""
    height, width = pixels.shape[:2]
    if width * height <= _STRIP:
        return Image.fromarray(pixels).resize(size, method, box=box)
    left, top, right, bottom = box
    # Pillow resizes rows first, each by itself, then columns: the result is the same to the bit.
    narrow = np.zeros((height, size[0], 3), np.uint8)
    support = int(3 * max(1.0, (bottom - top) / size[1])) + 2
    rows = max(1, _STRIP // width)
    for y in range(max(0, int(top) - support), min(height, int(bottom) + support), rows):
        strip = Image.fromarray(pixels[y : y + rows])
        narrow[y : y + rows] = strip.resize((size[0], strip.height), method, box=(left, 0, right, strip.height))
    return Image.fromarray(narrow).resize(size, method, box=(0, top, size[0], bottom))
