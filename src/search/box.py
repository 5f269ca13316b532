"""A part of a picture."""

from dataclasses import astuple, dataclass

import numpy as np

from src.contracts.numbers import read_number
from src.contracts.preprocessing import cut

__all__ = ["WHOLE", "Box"]

_LEAST = 0.01


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

    @classmethod
    def parse(cls, text: str) -> "Box":
        """Read `x,y,w,h`; kept to four decimals, so that equal boxes are found in a cache.

        Raises:
            ValueError: not four numbers, or not within the picture; the message continues "box=... ".
        """
        try:
            numbers = [read_number(part.strip()) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4:
            raise ValueError("must be four numbers x,y,w,h in fractions of the picture, such as 0.25,0.1,0.5,0.8")
        x, y, width, height = (round(number, 4) + 0.0 for number in numbers)
        if min(width, height) < _LEAST:
            raise ValueError(f"must be at least {_LEAST} wide and high")
        if min(x, y) < 0 or x + width > 1.0001 or y + height > 1.0001:
            raise ValueError("must lie within the picture, which goes from 0 to 1")
        return cls(x=x, y=y, width=width, height=height)

    def __str__(self) -> str:
        """As it stands in a request: `x,y,w,h`."""
        return ",".join(f"{value:g}" for value in (self.x, self.y, self.width, self.height))

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """The part of an array of shape (height, width, 3), at least one pixel of it; a view."""
        return cut(pixels, astuple(self))


WHOLE = Box(x=0.0, y=0.0, width=1.0, height=1.0)
"""All of a picture."""
