"""A part of a picture in pixels, as catalogues give it."""

from src.contracts.image_errors import ImageError
from src.contracts.image_header import read_header
from src.contracts.jpeg_reduction import Box

__all__ = ["BoxError", "PixelBox", "fractions_of"]

PixelBox = tuple[float, float, float, float]
"""Left edge, upper edge, width and height, in pixels of the upright picture at full scale."""

_SLACK = 1.0
"""Pixels by which a box may reach out of its picture: some tools count edges from 1, or the last pixel in."""


class BoxError(ImageError):
    """A box that does not lie within its picture."""


def fractions_of(box: PixelBox, data: bytes) -> Box:
    """A box as `decode` and `cut` take it; what reaches out of the picture by at most a pixel is cut off.

    Args:
        box: finite numbers, the width and the height above 0.
        data: the bytes of the image file, of which the header is read.

    Raises:
        BoxError: the box reaches out of the picture.
        ImageError: as `read_header`.
    """
    header = read_header(data)
    left, top, width, height = box
    right, bottom = left + width, top + height
    if (
        min(left, top) < 0
        or right > header.width + _SLACK
        or bottom > header.height + _SLACK
        or left >= header.width
        or top >= header.height
    ):
        raise BoxError(
            f"box {left:g},{top:g},{width:g},{height:g} (x, y, width, height) reaches out of the picture of "
            f"{header.width} x {header.height} pixels, as it is shown upright"
        )
    right, bottom = min(right, header.width), min(bottom, header.height)
    return left / header.width, top / header.height, (right - left) / header.width, (bottom - top) / header.height
