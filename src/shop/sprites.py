"""An item's picture without a scene, and how it is placed into one."""

from dataclasses import dataclass

import cv2
import numpy as np

from src.shop.blueprint import Blueprint
from src.shop.categories import CATEGORIES
from src.shop.drawing import Sketch
from src.shop.products import Product

__all__ = ["Sprite", "blueprint", "sprite"]

SUPERSAMPLING = 2
"""Sprites are drawn this much larger than the images, for smooth edges and for close-ups."""


@dataclass(frozen=True)
class Sprite:
    """An item on nothing.

    Attributes:
        large: float32 RGBA of shape (2 size, 2 size, 4), colour premultiplied, 0..255.
        small: the same at (size, size, 4).
        bounds: left, top, right, bottom of what is visible, in pixels of `small`.
    """

    large: np.ndarray
    small: np.ndarray
    bounds: tuple[int, int, int, int]

    def warped(self, matrix: np.ndarray, size: int, *, large: bool = False) -> np.ndarray:
        """The sprite under a perspective transform of `small`'s pixels: float32 RGBA of shape (size, size, 4)."""
        source = self.large if large else self.small
        scale = np.diag([1 / SUPERSAMPLING, 1 / SUPERSAMPLING, 1.0]) if large else np.eye(3)
        return np.asarray(cv2.warpPerspective(source, matrix @ scale, (size, size), flags=cv2.INTER_LINEAR))


def blueprint(product: Product, size: int) -> Blueprint:
    """Draw a product for images of that size."""
    sketch = Sketch(product.traits, SUPERSAMPLING * size)
    CATEGORIES[product.category].draw(sketch)
    return sketch.finished()


def sprite(drawn: Blueprint, product: Product, variant: int) -> Sprite:
    """One colourway of a drawn product."""
    large = drawn.coloured(product.colourways[variant], product.traits.word("trim"))
    size = large.shape[0] // SUPERSAMPLING
    small = cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)
    visible = small[..., 3] > 64
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    bounds = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Sprite(large=large, small=small, bounds=bounds)
