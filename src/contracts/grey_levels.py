"""Grey pixels of more than 8 bits, which Pillow would cut at 255."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from src.contracts.image_errors import CorruptImageError, UnsupportedImageError

__all__ = ["GreyLevels", "grey_levels"]

_MOST = 65_535


@dataclass(frozen=True, kw_only=True)
class GreyLevels:
    """What an image's values stand for.

    Attributes:
        top: the value of the brightest pixel.
        inverted: whether that is black instead.
        hidden: the value of transparent pixels; None where there are none.
    """

    top: float
    inverted: bool
    hidden: float | None

    def to_rgb(self, values: np.ndarray) -> np.ndarray:
        """Scale.

        Args:
            values: of shape (height, width).

        Returns:
            uint8 array of shape (height, width, 3).

        Raises:
            CorruptImageError: infinity or NaN among them.
        """
        exact = values.astype(np.float64)
        if not np.isfinite(exact).all():
            raise CorruptImageError("pixels that are infinite or no numbers (NaN)")
        grey = np.clip(np.rint(exact * (255 / self.top)), 0, 255).astype(np.uint8)
        if self.inverted:
            grey = 255 - grey
        if self.hidden is not None:
            grey[values == self.hidden] = 255
        return np.repeat(grey[..., None], 3, axis=-1)


def grey_levels(image: Image.Image) -> GreyLevels | None:
    """The scale of a loaded image of more than 8 bits, None for others.

    16-bit values are 0 to 65,535, 12-bit ones 0 to 4,095, 32-bit integers 0 to 65,535, and floating point is 0 to 1, or
    0 to 65,535 where some values are above 1; what is outside is cut off.

    Raises:
        UnsupportedImageError: 32-bit integers that do not fit.
    """
    if image.mode != "F" and not image.mode.startswith("I"):
        return None
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    top = 4095.0 if tuple(tags.get(BITSPERSAMPLE, ())) == (12,) else float(_MOST)
    if image.mode in ("F", "I"):
        low, high = cast(tuple[float, float], image.getextrema())
        if image.mode == "I" and (low < 0 or high > _MOST):
            raise UnsupportedImageError(
                f"a picture of integers from {low:,} to {high:,}; 0 to {_MOST:,} are read: save it with 8 or 16 bits"
            )
        top = 1.0 if image.mode == "F" and max(low, high) <= 1 else top
    return GreyLevels(
        top=top, inverted=tags.get(PHOTOMETRIC_INTERPRETATION) == 0, hidden=image.info.get("transparency")
    )
