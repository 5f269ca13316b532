"""Draw a map over its image."""

import numpy as np
from matplotlib import colormaps
from PIL import Image

__all__ = ["overlay"]

_STRONGEST = 0.75
"""Opacity where the map is strongest; below 1, so that the picture stays visible."""
_TOP_PERCENT = 99.0


def overlay(pixels: np.ndarray, attribution: np.ndarray, *, side: int = 192) -> Image.Image:
    """Draw the positive part of a map over its image; opacity grows with the value.

    The colours are `inferno`, which is perceptually uniform and readable with each kind of colour blindness. Values are
    relative to the map's own 99th percentile: colours cannot be compared between images.

    Args:
        pixels: uint8 of shape (size, size, 3).
        attribution: float array of shape (size, size), as `explain_pairs` gives it.
        side: of the picture, in pixels.

    Returns:
        An RGB picture; the image alone where no value is positive.
    """
    picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    positive = np.maximum(attribution, 0).astype(np.float32)
    top = float(np.percentile(positive, _TOP_PERCENT)) or float(positive.max())
    if top == 0:
        return picture
    scaled = Image.fromarray(np.minimum(positive / top, 1)).resize((side, side), Image.Resampling.BILINEAR)
    strength = np.asarray(scaled)
    colours = colormaps["inferno"](strength)[..., :3] * 255
    alpha = (_STRONGEST * strength)[..., None]
    blended = (1 - alpha) * np.asarray(picture) + alpha * colours
    return Image.fromarray(np.rint(blended).astype(np.uint8))
