"""At which scale a JPEG is decoded: libjpeg skips most of the work for 1/2, 1/4 and 1/8 of the sides."""

import math

from src.contracts.preprocessing_spec import PreprocessingSpec

__all__ = ["Box", "jpeg_reduction", "reduced"]

Box = tuple[float, float, float, float]
"""A part of an upright picture: left edge, upper edge, width and height, in fractions of the picture."""

_OVERSAMPLING = 2
"""Pixels that are left for each one that is wanted, along a side: fewer show in the embeddings."""


def jpeg_reduction(spec: PreprocessingSpec | None, width: int, height: int, *, box: Box | None = None) -> int:
    """The divisor of a JPEG's sides: the largest that leaves `resize` at least twice the pixels that it makes.

    Args:
        spec: what the pixels are resized to; None and `decoding=full` keep all pixels.
        width: of the upright picture, in pixels.
        height: likewise.
        box: the part that is resized; None takes all.

    Returns:
        1, 2, 4 or 8.
    """
    if spec is None or spec.decoding == "full":
        return 1
    for divisor in (8, 4, 2):
        if min(width, height) >= divisor and _suffices(spec, reduced(width, divisor), reduced(height, divisor), box):
            return divisor
    return 1


def reduced(side: int, divisor: int) -> int:
    """A side of a JPEG, in pixels, after it is decoded at 1/divisor."""
    return -(-side // divisor)


def _suffices(spec: PreprocessingSpec, width: int, height: int, box: Box | None) -> bool:
    # A cut is rounded to whole pixels, which may take one from it.
    sides = (width, height) if box is None else (math.floor(width * box[2]) - 1, math.floor(height * box[3]) - 1)
    least = _OVERSAMPLING * spec.size
    if spec.resize == "pad":
        return max(sides) >= least
    return min(sides) * (spec.crop_fraction if spec.resize == "crop" else 1) >= least
