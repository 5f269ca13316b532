"""A part of a picture."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Box"]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in fractions of the upright picture: it means the same whatever size a page shows the picture in.

    Attributes:
        x: left edge, from 0 at the left of the picture to 1 at its right.
        y: upper edge, from 0 at the top to 1 at the bottom.
        width: likewise; `x + width` is at most 1.
        height: likewise.
    """

    x: float
    y: float
    width: float
    height: float

    def __str__(self) -> str:
        """As it stands in a request: `x,y,w,h`."""
        return ",".join(f"{value:g}" for value in (self.x, self.y, self.width, self.height))

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """The part of an array of shape (height, width, 3), at least one pixel of it; a view."""
        rows, columns = pixels.shape[:2]
        top, bottom = _span(self.y, self.height, rows)
        left, right = _span(self.x, self.width, columns)
        return pixels[top:bottom, left:right]


def _span(start: float, length: float, size: int) -> tuple[int, int]:
    first = min(round(start * size), size - 1)
    return first, max(first + 1, min(round((start + length) * size), size))
