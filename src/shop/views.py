"""Catalogue pictures: the item alone on a light background."""

import cv2
import numpy as np

from src.shop.compositing import blurred, over
from src.shop.sprites import Sprite

__all__ = ["OTHER_VIEWS", "catalogue_view"]

OTHER_VIEWS = ("angle", "mirror", "detail")
"""Views that an item may have besides `front`."""

_MARGIN = 0.9


def catalogue_view(
    kind: str, item: Sprite, studio: tuple[int, int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Photograph an item in the studio.

    Args:
        kind: `front` (always the same pose), `angle`, `mirror` or `detail`.
        item: what to photograph.
        studio: colour of the background, sRGB.
        rng: the image's stream.

    Returns:
        The picture, uint8 RGB of shape (size, size, 3), and the item's mask, uint8 of shape (size, size), 0 or 255.
    """
    size = item.small.shape[0]
    front = item.warped(_pose(kind, item, rng), size, large=kind == "detail")
    alpha = np.ascontiguousarray(front[..., 3])
    shadow = blurred(alpha, size * 0.025)
    drop = max(1, size // 40)
    shadow[drop:] = shadow[:-drop].copy()
    light = (1 - shadow * np.float32(0.28 / 255)) * np.linspace(1.0, 0.965, size, dtype=np.float32)[:, None]
    back = cv2.merge([light * np.float32(channel) for channel in studio])
    picture = cv2.convertScaleAbs(over(front, back))
    mask = np.where(alpha >= 128, 255, 0).astype(np.uint8)
    return picture, mask


def _pose(kind: str, item: Sprite, rng: np.random.Generator) -> np.ndarray:
    size = item.small.shape[0]
    left, top, right, bottom = item.bounds
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    scale = _MARGIN * size / max(right - left, bottom - top)
    if kind == "detail":
        spread = np.array([right - left, bottom - top]) * 0.12
        centre = centre + rng.uniform(-1, 1, 2) * spread
        scale *= rng.uniform(1.5, 1.9)
    degrees = float(rng.uniform(6, 14) * rng.choice([-1, 1])) if kind == "angle" else 0.0
    flip = -1.0 if kind == "mirror" else 1.0
    squeeze = 0.88 if kind == "angle" else 1.0
    cos, sin = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
    turn = np.array([[cos * flip * squeeze, -sin, 0], [sin * flip * squeeze, cos, 0], [0, 0, 1.0]])
    if kind == "angle":
        turn = np.array([[1, 0, 0], [0, 1, 0], [rng.uniform(-1, 1) * 0.25 / size, 0, 1.0]]) @ turn
    to_origin = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1.0]])
    to_middle = np.array([[1, 0, size / 2], [0, 1, size / 2], [0, 0, 1.0]])
    return np.asarray(to_middle @ turn @ to_origin)
