"""The quality and the fingerprint of one image, which is decoded once for both."""

from dataclasses import dataclass

import numpy as np

from src.catalog.duplicates.fingerprint import fingerprint_of
from src.catalog.quality.judge import Finding, judge_with_pixels
from src.catalog.quality.limits import QualityLimits
from src.contracts.pixel_box import PixelBox

__all__ = ["Examined", "examine"]


@dataclass(frozen=True)
class Examined:
    """What `examine` found.

    Attributes:
        finding: as `judge` finds it.
        fingerprint: a scalar of type `FINGERPRINT`; None where the file cannot be read.
    """

    finding: Finding
    fingerprint: np.ndarray | None


def examine(data: bytes, limits: QualityLimits, *, box: PixelBox | None = None) -> Examined:
    """Judge a picture and take its fingerprint.

    Args:
        data: the bytes of its file.
        limits: what is still good.
        box: the part of the picture that shows the item; None takes all of it.
    """
    finding, pixels = judge_with_pixels(data, limits, box=box)
    return Examined(finding, None if pixels is None else fingerprint_of(pixels, data, box))
