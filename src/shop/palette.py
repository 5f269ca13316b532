"""The few named colours that all products share, and the colourways made of them."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

__all__ = ["COLORS", "Colourway", "TRIMS", "colourways"]

COLORS: dict[str, tuple[int, int, int]] = {
    "black": (38, 38, 42),
    "white": (240, 238, 232),
    "grey": (141, 144, 150),
    "beige": (213, 192, 160),
    "brown": (116, 76, 48),
    "burgundy": (118, 28, 48),
    "red": (203, 44, 44),
    "orange": (231, 126, 48),
    "yellow": (240, 198, 62),
    "olive": (112, 114, 56),
    "green": (42, 132, 84),
    "teal": (28, 128, 138),
    "sky": (124, 184, 226),
    "navy": (32, 48, 98),
    "purple": (116, 72, 150),
    "pink": (236, 150, 172),
}
"""Named colours as sRGB, 0..255."""

TRIMS: dict[str, tuple[int, int, int]] = {
    "gold": (204, 164, 84),
    "silver": (190, 194, 200),
    "ink": (44, 44, 50),
    "tan": (168, 116, 70),
    "ivory": (236, 230, 214),
}
"""Colours of buttons, buckles, soles and legs: a trait of the product, the same in all of its colourways."""

DARK = (30, 28, 30)
LIGHT = (244, 242, 238)

_CONTRAST = 34.0
"""Smallest CIELAB distance between colours that lie side by side in one product."""

_JITTER = 5.0


@dataclass(frozen=True)
class Colourway:
    """The colours of one item.

    Attributes:
        name: name of the primary colour.
        primary: sRGB, 0..255, as are the other two.
        secondary: the pattern's other colour.
        accent: the print's.
    """

    name: str
    primary: tuple[float, float, float]
    secondary: tuple[float, float, float]
    accent: tuple[float, float, float]

    def table(self, trim: str) -> np.ndarray:
        """Colours by role (see `drawing.Role`): float32 of shape (6, 3), sRGB 0..255."""
        return np.array([self.primary, self.secondary, self.accent, TRIMS[trim], DARK, LIGHT], dtype=np.float32)


def colourways(rng: np.random.Generator, count: int, liking: np.ndarray) -> tuple[Colourway, ...]:
    """Colourways of one product, with different primary colours.

    Args:
        rng: the product's stream.
        count: how many.
        liking: probabilities of the primary colours, one for each of `COLORS`.

    Returns:
        `count` colourways; within each, the three colours are told apart easily.
    """
    names = list(COLORS)
    primaries = rng.choice(len(names), size=count, replace=False, p=liking)
    return tuple(_colourway(rng, names, int(primary)) for primary in primaries)


def _colourway(rng: np.random.Generator, names: list[str], primary: int) -> Colourway:
    secondary = _other(rng, [primary])
    accent = _other(rng, [primary, secondary])
    jitter = rng.normal(0.0, _JITTER, size=(3, 3)).clip(-9, 9)
    shown = np.clip(np.array([COLORS[names[i]] for i in (primary, secondary, accent)]) + jitter, 0, 255)
    first, second, third = ((float(r), float(g), float(b)) for r, g, b in shown)
    return Colourway(name=names[primary], primary=first, secondary=second, accent=third)


def _other(rng: np.random.Generator, taken: list[int]) -> int:
    distance = np.min(_distances()[taken], axis=0)
    # Most second colours are neutral: shared by many products, so that a pair of colours names no product either.
    weight = np.where(_NEUTRAL, 3.0, 1.0) * (distance > _CONTRAST)
    return int(rng.choice(len(weight), p=weight / weight.sum()))


@cache  # not at import: OpenCV's first conversion takes a tenth of a second, and most commands draw nothing
def _distances() -> np.ndarray:
    rgb = np.array([list(COLORS.values())], dtype=np.float32) / 255
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0]
    return np.asarray(np.linalg.norm(lab[:, None] - lab[None], axis=2))


_NEUTRAL = np.array([name in ("black", "white", "grey", "beige", "navy") for name in COLORS])
