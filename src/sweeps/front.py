"""The Pareto front of a sweep with two objectives: quality, and the encoder's milliseconds an image."""

from collections.abc import Sequence
from pathlib import Path

import optuna
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from optuna.trial import TrialState
from rich.console import Console

from src.contracts.atomic_file import write_atomically
from src.contracts.settings.sweep import SweepSettings
from src.eval.learning_curves import round_ticks
from src.sweeps.study import counted_trials
from src.sweeps.trials import trial_labels

__all__ = ["front_of", "write_front"]

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 708, 12, 266


def front_of(points: Sequence[tuple[float, float]]) -> list[int]:
    """The positions that no other point beats: none is as good in both and better in one.

    Args:
        points: quality, to be large, and cost, to be small.

    Returns:
        Positions, the cheapest first; equal points are all on the front.

    >>> front_of([(0.5, 2.0), (0.6, 3.0), (0.4, 3.0), (0.5, 2.5)])
    [0, 1]
    """
    order = sorted(range(len(points)), key=lambda n: (points[n][1], -points[n][0]))
    front: list[int] = []
    for n in order:
        if not front or points[n][0] > points[front[-1]][0] or points[n] == points[front[-1]]:
            front.append(n)
    return front


def write_front(study: optuna.Study, folder: Path, settings: SweepSettings) -> None:
    """Print the front, and write it with all finished trials as `front.html` and `front.md` into the sweep's folder."""
    labels = trial_labels(study)
    finished = {n: trial for n, trial in enumerate(counted_trials(study)) if trial.state == TrialState.COMPLETE}
    if not finished:
        return
    numbers = [*finished]
    points = [(finished[n].values[0], finished[n].values[1]) for n in numbers]
    front = front_of(points)
    order = [*front, *sorted({*range(len(points))} - {*front}, key=lambda n: points[n][1])]
    header = ["trial", "", settings.metric, "ms an image", ""]
    rows = [
        [str(numbers[n]), labels[numbers[n]], f"{points[n][0]:.4f}", f"{points[n][1]:.2f}", "front" * (n in front)]
        for n in order
    ]
    lines = [header, ["---"] * len(header), *rows]
    write_atomically(folder / "front.md", "".join("| " + " | ".join(line) + " |\n" for line in lines))
    write_atomically(folder / "front.html", _page(points, front, header, rows, order))
    shown = "; ".join(f"{labels[numbers[n]]}: {points[n][0]:.4f} at {points[n][1]:.2f} ms" for n in front)
    console = Console()
    for line in (
        f"no trial beats these in both objectives: {shown}",
        "the front is chosen on validation among noisy values: neighbours on it may not differ (src.eval.compare)",
        f"the front, drawn: {folder / 'front.html'}",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _page(
    points: Sequence[tuple[float, float]],
    front: list[int],
    header: list[str],
    rows: list[list[str]],
    order: list[int],
) -> str:
    x_ticks = round_ticks(min(cost for _, cost in points), max(cost for _, cost in points))
    y_ticks = round_ticks(min(value for value, _ in points), max(value for value, _ in points))

    def at_x(cost: float) -> float:
        return _LEFT + (cost - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (_RIGHT - _LEFT)

    def at_y(value: float) -> float:
        return _BOTTOM - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (_BOTTOM - _TOP)

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # Not escaped: it is our own file.
    style = Markup((here.parent / "eval" / "report" / "page.css").read_text())  # noqa: S704
    return environment.get_template("front.html.jinja").render(
        style=style,
        header=header,
        rows=rows,
        size=(_WIDTH, _HEIGHT),
        plot=(_LEFT, _TOP, _RIGHT, _BOTTOM),
        x_ticks=[(at_x(tick), f"{tick:.4g}") for tick in x_ticks],
        y_ticks=[(at_y(tick), f"{tick:.4g}") for tick in y_ticks],
        line=" ".join(f"{at_x(points[n][1]):.1f},{at_y(points[n][0]):.1f}" for n in front),
        dots=[
            (at_x(points[n][1]), at_y(points[n][0]), n in front, " ".join(row[1:4]))
            for n, row in zip(order, rows, strict=True)
        ],
    )
