"""Prints: emblems composed of geometric glyphs, like a logo on the chest of a shirt."""

import numpy as np

from src.shop.motifs import star
from src.shop.shapes import Points, arc, box, ellipse, path, smooth, turn

__all__ = ["EMBLEMS", "emblem"]


def _polygon(sides: int, radius: float = 0.9, start: float = -90) -> Points:
    angle = np.radians(start + 360 * np.arange(sides) / sides)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _crescent() -> Points:
    return np.concatenate([arc(0, 0, 0.9, 0.9, 60, 300, 30), arc(0.35, 0, 0.62, 0.72, 290, 70, 24)])


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([16 * np.sin(t), y - 2], axis=1) / 18


_OUTER: tuple[Points, ...] = (
    ellipse(0, 0, 0.9),
    _polygon(3),
    box(0, 0, 1.5, 1.5),
    star(0, 0, 1.0),
    path((0.25, -1), (-0.55, 0.15), (-0.05, 0.15), (-0.25, 1), (0.55, -0.2), (0.05, -0.2)),
    _heart(),
    _crescent(),
    path((-1, 0.7), (-0.3, -0.7), (0.1, 0.05), (0.4, -0.35), (1, 0.7)),
    _polygon(6),
    path(
        (-0.3, -0.95),
        (0.3, -0.95),
        (0.3, -0.3),
        (0.95, -0.3),
        (0.95, 0.3),
        (0.3, 0.3),
        (0.3, 0.95),
        (-0.3, 0.95),
        (-0.3, 0.3),
        (-0.95, 0.3),
        (-0.95, -0.3),
        (-0.3, -0.3),
    ),
    star(0, 0, 1.0, 10, 0.7),
    smooth(path((0, -1), (0.8, -0.2), (0.55, 0.9), (0, 0.6), (-0.55, 0.9), (-0.8, -0.2)), 2),
)

_INNER: tuple[Points, ...] = (
    ellipse(0, 0, 0.36),
    _polygon(3, 0.42),
    box(0, 0, 0.62, 0.62),
    star(0, 0, 0.45),
    turn(box(0, 0, 1.0, 0.22), 35),
    box(0, 0, 0.22, 0.9),
)

EMBLEMS = len(_OUTER) * len(_INNER) * 3
"""How many different emblems there are."""


def emblem(number: int) -> tuple[list[Points], list[Points]]:
    """An emblem around the origin with a radius of about 1.

    Args:
        number: which; neighbouring numbers have different outer shapes.

    Returns:
        Outlines in the accent colour, and outlines in the secondary colour on top of them.
    """
    outer = _OUTER[number % len(_OUTER)]
    inner = _INNER[number // len(_OUTER) % len(_INNER)]
    frame = number // (len(_OUTER) * len(_INNER)) % 3
    bars = [box(0, 1.28, 1.7, 0.26)] if frame == 1 else [box(0, 1.2, 1.5, 0.2), box(0, -1.25, 1.5, 0.2)]
    return ([outer, *bars] if frame else [outer]), [inner]
