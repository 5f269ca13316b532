"""Whether one picture is fit for search, and if not, why."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from src.catalog.image_source import UnreadableImageError
from src.catalog.quality.limits import QualityLimits
from src.catalog.quality.measures import Measures, measure
from src.catalog.quality.reasons import Reason
from src.catalog.reduced_picture import reduced_picture, to_side
from src.contracts.image_errors import ImageError, ImageTooLargeError, UnsupportedImageError
from src.contracts.image_header import read_header
from src.contracts.pixel_box import BoxError, PixelBox
from src.contracts.preprocessing import MAX_PIXELS

__all__ = ["Finding", "judge", "judge_pixels", "judge_with_pixels", "reason_of"]

_DEFAULTS = QualityLimits()


@dataclass(frozen=True)
class Finding:
    """What `judge` says of a picture.

    Attributes:
        reasons: all faults, in the order of `Reason`; none for a good picture.
        message: the faults with their values and limits, for people; empty for a good picture.
        width: of the upright picture or of its box, in pixels of the file; None where the file cannot be read.
        height: likewise.
        measures: None where the file cannot be read.
    """

    reasons: tuple[Reason, ...] = ()
    message: str = ""
    width: int | None = None
    height: int | None = None
    measures: Measures | None = None

    @property
    def reason(self) -> Reason | None:
        """The first fault, by which pictures are counted; None for a good picture."""
        return self.reasons[0] if self.reasons else None

    def row(self) -> dict[str, Any]:
        """As a row of a table: `reason`, `reasons`, `message`, `width`, `height` and the measures by their names."""
        names = Measures.__dataclass_fields__
        values = dict.fromkeys(names) if self.measures is None else asdict(self.measures)
        head = {"reason": self.reason and str(self.reason), "reasons": [str(reason) for reason in self.reasons]}
        return head | {"message": self.message, "width": self.width, "height": self.height} | values


def judge(
    data: bytes, limits: QualityLimits = _DEFAULTS, *, box: PixelBox | None = None, max_pixels: int = MAX_PIXELS
) -> Finding:
    """Decode a picture, at a reduced scale where its format allows, and judge it.

    Args:
        data: the bytes of its file.
        limits: what is still good.
        box: the part of the picture that shows the item; None judges all of it.
        max_pixels: larger pictures are not decoded, and `too_large`.

    Returns:
        The finding; a file that cannot be read is a finding, not an error.
    """
    return judge_with_pixels(data, limits, box=box, max_pixels=max_pixels)[0]


def judge_with_pixels(
    data: bytes, limits: QualityLimits = _DEFAULTS, *, box: PixelBox | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[Finding, np.ndarray | None]:
    """`judge`, with the `reduced_picture` that was judged; None where the file cannot be read."""
    try:
        header = read_header(data)
        pixels = reduced_picture(data, box=box, max_pixels=max_pixels)
    except ImageError as error:
        return Finding(reasons=(reason_of(error),), message=str(error)), None
    width, height = (header.width, header.height) if box is None else (round(box[2]), round(box[3]))
    return judge_pixels(pixels, width, height, limits), pixels


def judge_pixels(pixels: np.ndarray, width: int, height: int, limits: QualityLimits = _DEFAULTS) -> Finding:
    """Judge a picture that is decoded already.

    Args:
        pixels: uint8 of shape (height, width, 3), RGB, at any scale that leaves both sides 256 pixels, or all that the
            file has.
        width: of the upright picture, or of its box, in pixels of the file.
        height: likewise.
        limits: what is still good.
    """
    found = measure(to_side(pixels))
    short, long = min(width, height), max(width, height)
    # (fault, whether it is there, the value, the rule)
    checks = (
        (Reason.CUT_OFF, found.cut_off > limits.max_cut_off, f"{found.cut_off:.0%} of it", f"{limits.max_cut_off:.0%}"),
        (Reason.TOO_SMALL, short < limits.min_side, f"{width} x {height} pixels", f"{limits.min_side}"),
        (Reason.EXTREME_ASPECT, long > limits.max_aspect * short, f"{width} x {height}", f"{limits.max_aspect:g} to 1"),
        (
            Reason.SINGLE_COLOUR,
            found.spread < limits.min_spread,
            f"spread {found.spread:.1f}",
            f"{limits.min_spread:g}",
        ),
        (
            Reason.TOO_DARK,
            found.highlights < limits.min_highlights,
            f"highlights {found.highlights:.0f}",
            f"{limits.min_highlights:g}",
        ),
        (
            Reason.TOO_BRIGHT,
            found.shadows > limits.max_shadows,
            f"shadows {found.shadows:.0f}",
            f"{limits.max_shadows:g}",
        ),
        (Reason.GREY, found.chroma < limits.min_chroma, f"chroma {found.chroma:.0f}", f"{limits.min_chroma:g}"),
        (
            Reason.BLURRED,
            found.edge_width > limits.max_edge_width
            or (found.blur > limits.max_blur and found.edge_width > limits.sharp_edge),
            f"blur {found.blur:.2f}, edges {found.edge_width:.1f} pixels wide",
            f"{limits.max_blur:g} and {limits.max_edge_width:g}",
        ),
    )
    faults = [(reason, value, limit) for reason, there, value, limit in checks if there]
    return Finding(
        reasons=tuple(reason for reason, _, _ in faults),
        message="; ".join(f"{reason}: {value}, limit {limit}" for reason, value, limit in faults),
        width=width,
        height=height,
        measures=found,
    )


def reason_of(error: ImageError) -> Reason:
    """The code of an error of reading or decoding."""
    if isinstance(error, UnreadableImageError):
        return Reason.MISSING
    if isinstance(error, UnsupportedImageError):
        return Reason.UNSUPPORTED
    if isinstance(error, ImageTooLargeError):
        return Reason.TOO_LARGE
    return Reason.BAD_BOX if isinstance(error, BoxError) else Reason.CORRUPT
