"""Why a picture is not fit for search, as codes that tables and reports hold."""

from enum import StrEnum

__all__ = ["EXPLANATIONS", "Reason"]


class Reason(StrEnum):
    """A fault of a picture; the order is that in which a picture with several is counted."""

    MISSING = "missing"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    CORRUPT = "corrupt"
    BAD_BOX = "bad_box"
    CUT_OFF = "cut_off"
    TOO_SMALL = "too_small"
    EXTREME_ASPECT = "extreme_aspect"
    SINGLE_COLOUR = "single_colour"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    GREY = "grey"
    BLURRED = "blurred"
    PLACEHOLDER = "placeholder"


EXPLANATIONS = {
    Reason.MISSING: "the file could not be fetched",
    Reason.UNSUPPORTED: "not a JPEG, PNG, WebP, GIF, BMP or TIFF image, or a kind of them that is not read",
    Reason.TOO_LARGE: "more pixels, or more passes over them, than are read",
    Reason.CORRUPT: "truncated or damaged",
    Reason.BAD_BOX: "the box reaches out of the picture",
    Reason.CUT_OFF: "one side is the flat grey that decoders put where a JPEG ends too early",
    Reason.TOO_SMALL: "the shorter side has too few pixels",
    Reason.EXTREME_ASPECT: "the longer side is too many times the shorter",
    Reason.SINGLE_COLOUR: "one colour all over",
    Reason.TOO_DARK: "even the bright parts are dark",
    Reason.TOO_BRIGHT: "even the dark parts are bright",
    Reason.GREY: "no colour in it",
    Reason.BLURRED: "no sharp edge in it",
    Reason.PLACEHOLDER: "the same picture stands under many items",
}
"""What each code means, for people."""
