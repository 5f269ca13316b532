"""Measures of one picture that tell whether it is fit for search; each is a pure function of its pixels."""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Measures",
    "blur_effect",
    "chroma",
    "cut_off",
    "edge_width",
    "highlights",
    "luma",
    "measure",
    "shadows",
    "spread",
]

_REC_601 = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_TAPS = 9
_CONTRAST = 8.0
_FEWEST_EDGES = 20
_FILL, _NEAR_FILL = 128, 2


@dataclass(frozen=True)
class Measures:
    """What `measure` found.

    Attributes:
        highlights: `highlights`, 0..255.
        shadows: `shadows`, 0..255.
        spread: `spread`, 0..128.
        chroma: `chroma`, 0..255.
        blur: `blur_effect`, 0..1.
        edge_width: `edge_width`, in pixels.
        cut_off: `cut_off`, 0..1.
    """

    highlights: float
    shadows: float
    spread: float
    chroma: float
    blur: float
    edge_width: float
    cut_off: float


def measure(pixels: np.ndarray) -> Measures:
    """All measures of a picture.

    Args:
        pixels: uint8 of shape (height, width, 3), RGB, as `reduced_picture` makes it: widths of edges are in its
            pixels.
    """
    grey = luma(pixels)
    return Measures(
        highlights=highlights(grey),
        shadows=shadows(grey),
        spread=spread(pixels),
        chroma=chroma(pixels),
        blur=blur_effect(grey),
        edge_width=edge_width(grey),
        cut_off=cut_off(pixels),
    )


def luma(pixels: np.ndarray) -> np.ndarray:
    """Brightness as the eye weighs colours (Rec. 601).

    Args:
        pixels: uint8 of shape (..., 3), RGB.

    Returns:
        float32 of shape (...), 0..255.
    """
    return pixels.astype(np.float32) @ _REC_601


def highlights(grey: np.ndarray) -> float:
    """The brightness that 1 % of the pixels exceed, 0..255.

    A black bag on black ground has bright seams; an underexposed photo has nothing that is bright.

    Args:
        grey: `luma` of a picture: float32 of shape (height, width).
    """
    return _quantile(np.rint(grey).astype(np.uint8), 0.99)


def shadows(grey: np.ndarray) -> float:
    """The brightness that 99 % of the pixels exceed, 0..255: the counterpart of `highlights`.

    Args:
        grey: `luma` of a picture: float32 of shape (height, width).
    """
    return _quantile(np.rint(grey).astype(np.uint8), 0.01)


def spread(pixels: np.ndarray) -> float:
    """The standard deviation of the channel that varies most, 0..128: near 0 for one colour all over.

    Args:
        pixels: uint8 of shape (height, width, 3).
    """
    return max(float(pixels[..., channel].astype(np.float32).std()) for channel in range(3))


def chroma(pixels: np.ndarray) -> float:
    """The difference of the largest and the smallest channel that 1 % of the pixels exceed, 0..255.

    0 for a picture that was stored without colour. A grey product keeps some: of light, ground and shadow.

    Args:
        pixels: uint8 of shape (height, width, 3), RGB.
    """
    red, green, blue = (pixels[..., channel] for channel in range(3))
    largest, smallest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return _quantile(largest - smallest, 0.99)


def blur_effect(grey: np.ndarray) -> float:
    """How little a picture changes when it is blurred again, 0 (sharp) to 1; the worse of the two directions.

    Blurring a sharp picture along an axis flattens differences of neighbouring pixels, blurring a blurred one hardly
    does. The worse direction, so that motion along one axis counts. 0 for a picture without differences.

    Source: Crete, Dolmiere, Ladret, Nicolas: The blur effect: perception and estimation with a new no-reference
    perceptual blur metric (2007), equations 1 to 6, with a mean of 9 pixels.

    Args:
        grey: `luma` of a picture: float32 of shape (height, width).
    """
    return max(_blur_along_rows(grey), _blur_along_rows(np.ascontiguousarray(grey.T)))


def _blur_along_rows(grey: np.ndarray) -> float:
    if grey.shape[1] < _TAPS:
        return 0.0
    half = _TAPS // 2
    padded = np.pad(grey, ((0, 0), (half, half)), mode="edge")
    before = np.abs(np.diff(grey, axis=1))
    # From one mean of 9 pixels to the next, one pixel leaves and one comes.
    after = np.abs(padded[:, _TAPS:] - padded[:, :-_TAPS]) / _TAPS
    total = float(before.sum())
    return 1 - float(np.maximum(before - after, 0).sum()) / total if total > 0 else 0.0


def edge_width(grey: np.ndarray) -> float:
    """How many pixels the sharpest of the strong edges take from dark to bright: 1 and more.

    At the pixels with the strongest contrast in the 9 x 9 pixels around them: that contrast, divided by the difference
    to the next pixel. The 5 % sharpest count, so that a photo with its product in focus is sharp whatever its ground
    is. 1 for a picture without contrast, or smaller than the neighbourhood.

    Source: edge widths as a measure of blur are those of Marziliano, Dufaux, Winkler, Ebrahimi: A no-reference
    perceptual blur metric (2002); here without finding the ends of each edge.

    Args:
        grey: `luma` of a picture: float32 of shape (height, width).
    """
    if min(grey.shape) < _TAPS:
        return 1.0
    contrast = (_extreme(grey, np.maximum) - _extreme(grey, np.minimum))[:-1, :-1]
    step = np.maximum(np.abs(np.diff(grey, axis=1))[:-1], np.abs(np.diff(grey, axis=0))[:, :-1])
    strong = contrast > max(0.7 * _quantile(contrast, 0.9), _CONTRAST)
    if np.count_nonzero(strong) < _FEWEST_EDGES:
        return 1.0
    return 1 / max(_quantile(step[strong] / contrast[strong], 0.95), 1e-3)


def _extreme(grey: np.ndarray, of: np.ufunc) -> np.ndarray:
    """The largest or smallest value of the 9 x 9 pixels around each; the border is repeated."""
    padded = np.pad(grey, _TAPS // 2, mode="edge")
    # Of 2, 4, 8 and 9 neighbours in a row.
    for shift in (1, 2, 4, 1):
        padded = of(padded[:, :-shift], padded[:, shift:])
    for shift in (1, 2, 4, 1):
        padded = of(padded[:-shift], padded[shift:])
    return padded


def cut_off(pixels: np.ndarray) -> float:
    """The share of a picture, from one of its sides inwards, that is the grey which stands for missing JPEG data, 0..1.

    Decoders fill what a truncated file lacks with 128, 128, 128; whoever saves that picture anew makes a valid file of
    it. The opposite side must not be grey, as it is where a picture was padded. Any side, since pictures are turned.

    Args:
        pixels: uint8 of shape (height, width, 3), RGB.
    """
    # Unsigned bytes wrap around: what is below the range becomes large.
    near = pixels - np.uint8(_FILL - _NEAR_FILL) <= 2 * _NEAR_FILL
    fill = near[..., 0] & near[..., 1] & near[..., 2]
    shares = []
    for lines in (np.asarray(fill.all(axis=1)), np.asarray(fill.all(axis=0))):
        first, last = _leading(lines), _leading(lines[::-1])
        shares += [max(first, last) / len(lines)] if min(first, last) == 0 else []
    return float(max(shares, default=0.0))


def _leading(lines: np.ndarray) -> int:
    """How many lines are true before the first that is not."""
    return int(np.argmin(lines)) if not lines.all() else len(lines)


def _quantile(values: np.ndarray, share: float) -> float:
    """The value below which `share` of the values lie, without interpolation."""
    flat = values.ravel()
    place = min(int(share * len(flat)), len(flat) - 1)
    if flat.dtype == np.uint8:
        return float(np.searchsorted(np.cumsum(np.bincount(flat)), place, side="right"))
    return float(np.partition(flat, place)[place])
