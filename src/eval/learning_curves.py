"""Learning curves of several runs as an SVG drawing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from src.eval.training_log import Point

__all__ = ["CurveLine", "Curves", "as_html", "draw_learning_curves", "round_ticks"]

_COLOURS = (
    "#4e79a7",
    "#f28e2b",
    "#e15759",
    "#59a14f",
    "#b07aa1",
    "#76b7b2",
    "#edc948",
    "#ff9da7",
    "#9c755f",
    "#8a8a8a",
)
"""Of the contenders, in turn."""

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 34
_TICKS = 5


@dataclass(frozen=True)
class CurveLine:
    """One run's curve.

    Attributes:
        contender: number of the contender, from 0.
        label: the contender's.
        points: of the line.
        best: position of the best validation.
        caption: value and epoch of the best validation.
    """

    contender: int
    label: str
    points: str
    best: tuple[float, float]
    caption: str


@dataclass(frozen=True)
class Curves:
    """An SVG drawing in pixels.

    Attributes:
        metric: the metric that is drawn.
        width: of the drawing.
        height: of the drawing.
        plot: left, top, right and bottom of the plot.
        x_ticks: (x, label).
        y_ticks: (y, label).
        lines: one for each run that logged the metric.
    """

    metric: str
    width: int
    height: int
    plot: tuple[int, int, int, int]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[CurveLine]


def draw_learning_curves(metric: str, curves: Mapping[str, Sequence[Sequence[Point]]]) -> Curves | None:
    """Place the curves of all runs on common axes.

    Args:
        metric: the metric's name.
        curves: those of each contender's runs, by its label.

    Returns:
        None where no run has a point.
    """
    points = [point for runs in curves.values() for run in runs for point in run]
    if not points:
        return None
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    last = max(epoch for epoch, _ in points)
    first = min(epoch for epoch, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    values = round_ticks(low, high)
    low, high = values[0], values[-1]

    def at_x(epoch: float) -> float:
        return _LEFT + (epoch - first) / max(last - first, 1e-9) * (right - _LEFT)

    def at_y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - _TOP)

    lines = []
    for number, (label, runs) in enumerate(curves.items()):
        for run in runs:
            if run:
                best = max(run, key=lambda point: point[1])
                drawn = " ".join(f"{at_x(epoch):.1f},{at_y(value):.1f}" for epoch, value in run)
                caption = f"best {best[1]:.4f}, epoch {best[0]:g}"
                lines.append(CurveLine(number, label, drawn, (at_x(best[0]), at_y(best[1])), caption))
    epochs = range(math.ceil(first), math.floor(last) + 1, max(1, math.ceil((last - first) / 10)))
    return Curves(
        metric,
        _WIDTH,
        _HEIGHT,
        (_LEFT, _TOP, right, bottom),
        [(at_x(epoch), str(epoch)) for epoch in epochs],
        [(at_y(value), f"{value:.4g}") for value in values],
        lines,
    )


def as_html(curves: Curves) -> str:
    """The drawing as an SVG element and a list of the contenders in their colours; a tooltip names each line."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("learning_curves.html.jinja")
    return template.render(
        curves=curves, labels={line.contender: line.label for line in curves.lines}, colours=_COLOURS
    )


def round_ticks(low: float, high: float) -> list[float]:
    """About five round numbers, evenly spaced, from at most `low` to at least `high`.

    >>> round_ticks(13, 61)
    [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]
    """
    step = _round_step((high - low) / _TICKS or 0.1)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [step * tick for tick in range(first, last + 1)]


def _round_step(wanted: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))
