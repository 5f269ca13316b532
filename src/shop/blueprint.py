"""A product without its colours: shares of colour roles and shading, so that a colourway only fills in colours."""

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np

from src.shop.palette import Colourway

__all__ = ["Blueprint", "Role"]


class Role(IntEnum):
    """What a colour of a colourway is for; the order is that of `Colourway.table`."""

    PRIMARY = 0
    SECONDARY = 1
    ACCENT = 2
    TRIM = 3
    DARK = 4
    LIGHT = 5


@dataclass(frozen=True)
class Blueprint:
    """A product without its colours.

    Attributes:
        weights: float32 of shape (6, side, side), shares of the roles times the coverage.
        shade: float32 of shape (side, side), brightness, about 0.4 to 1.3.
        gloss: float32 of shape (side, side), added white, 0..1.
        alpha: float32 of shape (side, side), coverage, 0..1.
    """

    weights: np.ndarray
    shade: np.ndarray
    gloss: np.ndarray
    alpha: np.ndarray

    def coloured(self, colourway: Colourway, trim: str) -> np.ndarray:
        """The item's picture: float32 RGBA of shape (side, side, 4), colour premultiplied, all 0..255."""
        table = colourway.table(trim)
        used = [role for role in range(len(Role)) if self.weights[role].any()]
        alpha = self.alpha * np.float32(255)
        gloss = self.gloss * alpha
        channels = []
        for channel in range(3):
            # Summed by hand: a matrix product may round differently with another number of threads.
            flat = np.zeros_like(alpha)
            for role in used:
                flat += self.weights[role] * table[role, channel]
            channels.append(np.minimum(flat * self.shade + gloss, alpha))
        return np.asarray(cv2.merge([*channels, alpha]))
