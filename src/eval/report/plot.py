"""A curve with its band on a logarithmic axis, as SVG coordinates."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Curve", "draw_curve"]

WIDTH, HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 34


@dataclass(frozen=True)
class Curve:
    """An SVG drawing in pixels.

    Attributes:
        width: of the drawing.
        height: of the drawing.
        line: `points` of the curve.
        band: `points` of the interval around it, closed.
        x_ticks: (x, label).
        y_ticks: (y, label).
        dots: (x, y, tooltip).
        plot: left, top, right and bottom of the plot.
    """

    width: int
    height: int
    line: str
    band: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    dots: list[tuple[float, float, str]]
    plot: tuple[int, int, int, int]


def draw_curve(x: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray, what: str) -> Curve:
    """Compute the SVG coordinates of a curve.

    Args:
        x: int array of shape (points,), ascending from 1.
        value: float array of shape (points,), each from 0 to 1.
        low: lower ends of the intervals, of the same shape.
        high: upper ends.
        what: name of the value, e.g. `Recall@`.
    """
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    span = max(np.log(x[-1]), 1e-9)
    at_x = _LEFT + np.log(x) / span * (right - _LEFT)

    def at_y(values: np.ndarray) -> np.ndarray:
        return bottom - np.clip(values, 0, 1) * (bottom - _TOP)

    def points(xs: np.ndarray, ys: np.ndarray) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs, ys, strict=True))

    band = points(np.r_[at_x, at_x[::-1]], np.r_[at_y(high), at_y(low)[::-1]])
    shown = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= x[-1]]
    return Curve(
        WIDTH,
        HEIGHT,
        points(at_x, at_y(value)),
        band,
        [(float(_LEFT + np.log(k) / span * (right - _LEFT)), str(k)) for k in shown],
        [(float(at_y(np.array(v))), f"{v:.1f}") for v in (0, 0.2, 0.4, 0.6, 0.8, 1.0)],
        [
            (float(a), float(b), f"{what}{k}: {v:.3f} ({lo:.3f} to {hi:.3f})")
            for a, b, k, v, lo, hi in zip(at_x, at_y(value), x, value, low, high, strict=True)
        ],
        (_LEFT, _TOP, right, bottom),
    )
