"""Outlines in the unit square: x to the right, y down, both from -1 to 1; float64 arrays of shape (points, 2)."""

from collections.abc import Sequence

import numpy as np

__all__ = ["Points", "arc", "box", "ellipse", "mirror", "path", "rounded_box", "smooth", "symmetric", "turn"]

Points = np.ndarray


def path(*points: Sequence[float]) -> Points:
    """The points as an array."""
    return np.array(points, dtype=np.float64)


def mirror(points: Points) -> Points:
    """The outline on the other side of the vertical axis."""
    return points * np.array([-1.0, 1.0])


def symmetric(left: Points) -> Points:
    """A closed outline from its left half, given from top to bottom."""
    return np.concatenate([left, mirror(left)[::-1]])


def smooth(points: Points, rounds: int = 3, *, closed: bool = True) -> Points:
    """Round the corners by cutting them (Chaikin 1974), `rounds` times."""
    for _ in range(rounds):
        ahead = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * ahead, 0.25 * points + 0.75 * ahead], axis=1)
        points = cut.reshape(-1, 2) if closed else np.concatenate([points[:1], cut[:-1].reshape(-1, 2), points[-1:]])
    return points


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float, count: int = 24) -> Points:
    """Part of an ellipse around (x, y); degrees, 0 to the right, 90 down."""
    angle = np.radians(np.linspace(start, stop, count))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def ellipse(x: float, y: float, rx: float, ry: float | None = None, count: int = 40) -> Points:
    """An ellipse, or a circle where `ry` is not given."""
    return arc(x, y, rx, rx if ry is None else ry, 0, 360 * (1 - 1 / count), count)


def box(x: float, y: float, width: float, height: float) -> Points:
    """A rectangle around (x, y)."""
    w, h = width / 2, height / 2
    return path((x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h))


def rounded_box(x: float, y: float, width: float, height: float, radius: float) -> Points:
    """A rectangle around (x, y) with round corners."""
    r = min(radius, width / 2, height / 2)
    w, h = width / 2 - r, height / 2 - r
    corners = [(x + w, y + h, 0), (x - w, y + h, 90), (x - w, y - h, 180), (x + w, y - h, 270)]
    return np.concatenate([arc(cx, cy, r, r, start, start + 90, 7) for cx, cy, start in corners])


def turn(points: Points, degrees: float, around: Sequence[float] = (0.0, 0.0)) -> Points:
    """Rotate clockwise on the screen."""
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((points - np.asarray(around)) @ matrix + np.asarray(around))
