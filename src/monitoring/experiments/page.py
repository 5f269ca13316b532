"""An analysis on the terminal and as a self-contained HTML page."""

from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.monitoring.experiments.analysis import RATIO_ALPHA, Analysis, Result

__all__ = ["as_html", "notes", "print_analysis"]

_HEADER = ("metric", "role", "variant", "control", "treated", "difference", "relative", "p", "verdict")
_COLOURS = {"better": "green", "worse": "red", "not harmed": "green", "can't tell": "yellow"}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 240, 70, 12, 12, 30


def print_analysis(analysis: Analysis) -> None:
    """Print the decision, the table, and how to read it."""
    console = Console()
    for sentence in analysis.decision:
        console.print(Text(sentence, "bold"))
    table = Table(box=SIMPLE, pad_edge=False)
    for name in ("metric", "values", "difference", "p", "verdict"):
        table.add_column(name, no_wrap=True)
    for result in analysis.results:
        metric, role, variant, control, treated, difference, relative, *rest = _cells(result)
        # Two lines a row, so that the table fits a narrow terminal.
        both = f"{metric}\n{variant}, {role}", f"{control}\n{treated}"
        difference = difference.replace(" [", f" ({relative})\n[")
        cells = [Text(cell) for cell in (*both, difference, *rest)]
        cells[-1].stylize(_COLOURS[result.verdict])
        table.add_row(*cells)
    console.print(table)
    for sentence in notes(analysis):
        console.print(sentence, markup=False, highlight=False)


def as_html(analysis: Analysis) -> str:
    """A page for light and dark screens, which loads no other file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # Not escaped: it is our own file.
    style = Markup((Path(__file__).parents[2] / "eval" / "report" / "page.css").read_text())  # noqa: S704
    primary = [result for result in analysis.results if result.role == "primary"]
    return environment.get_template("experiment.html.jinja").render(
        style=style,
        decision=analysis.decision,
        control=analysis.log.variants[0],
        header=_HEADER,
        rows=[{"cells": _cells(result), "verdict": result.verdict, "bar": _bar(result)} for result in analysis.results],
        figures=[{"result": result, "drawing": _drawing(result)} for result in primary],
        counts=[
            (name, int(count), f"{share:.1%}", f"{count / max(int(analysis.log.counts()[-1].sum()), 1):.1%}")
            for name, count, share in zip(
                analysis.log.variants, analysis.log.counts()[-1], analysis.log.shares, strict=True
            )
        ],
        ratio=f"{analysis.ratio[-1]:.3g}",
        notes=notes(analysis),
        start=analysis.log.start,
        days=analysis.log.days,
    )


def notes(analysis: Analysis) -> list[str]:
    """Sentences on how it was measured, what was left out, and what does not follow."""
    log, percent = analysis.log, f"{1 - analysis.alpha:.0%}"
    length = (
        f"Boundaries are those of daily looks with {analysis.planned} planned days"
        if analysis.planned is not None
        else "Boundaries are those of a confidence sequence, wider than those of a planned length (--days)"
    )
    sentences = [
        f"{len(log.variant_of):,} users since {log.start}, {log.days} daily looks. In brackets {percent} intervals by "
        f"user (delta method) that hold at all looks together. {length}.",
        "p holds however often it was read. Holm's correction over variants for the primary metric and over all "
        "guardrails, Benjamini and Hochberg's over all secondary metrics; intervals of primary metric and guardrails "
        "have Bonferroni's.",
        f"Sample ratio: p = {analysis.ratio[-1]:.3g}, sequential; below {RATIO_ALPHA} the experiment is invalid."
        + ("" if log.shares_known else " The log has no propensities: equal shares were taken for planned."),
    ]
    if any(result.adjusted for result in analysis.results):
        sentences.append(
            "Differences are adjusted by what the same users did before their first exposure (CUPED); control and "
            "treated are not."
        )
    early = {result.metric.name for result in analysis.results if result.at.first is None}
    if early:
        sentences.append(
            f"No interval for {', '.join(sorted(early))}: its variance comes from too few users. Wait, or bound a "
            "session's revenue by --cap."
        )
    for count, what in (
        (log.mixed, "users saw several variants and are left out; many mean that assignment is not sticky"),
        (log.lost, "events had no impression and are left out"),
        (
            log.without_user,
            "events name no user: their sessions count as users, too optimistic if people return",
        ),
        (log.capped, "sessions reached the cap on revenue, and count as the cap"),
    ):
        if count:
            sentences.append(f"{count:,} {what}.")
    return sentences


def _cells(result: Result) -> tuple[str, ...]:
    at = result.at
    low, high, control = at.low[-1], at.high[-1], at.control[-1]
    ends = f" [{low:+.4g}, {high:+.4g}]" if np.isfinite(low) else " [none]"
    relative = f"{at.value[-1] / control:+.1%}" if control else "none"
    p_value = "< 0.001" if result.p_value < 0.001 else f"{result.p_value:.3f}"
    return (
        result.metric.name, result.role, result.variant, f"{control:.4g}", f"{at.treated[-1]:.4g}",
        f"{at.value[-1]:+.4g}{ends}", relative, p_value, result.verdict,
    )  # fmt: skip


def _bar(result: Result) -> dict[str, float] | None:
    """The interval relative to the control, on a line from -reach to +reach, in per cent of the line."""
    at = result.at
    ends = np.array([at.low[-1], at.high[-1], at.value[-1]])
    if not np.isfinite(ends).all() or at.control[-1] == 0:
        return None
    reach = np.abs(ends).max() or 1.0
    left, right, middle = (50 + 50 * float(end) / reach for end in ends)
    return {"left": left, "width": right - left, "at": middle}


def _drawing(result: Result) -> dict[str, Any] | None:
    """SVG coordinates of the difference at each look that counts, with its band."""
    at = result.at
    if at.first is None:
        return None
    shown = np.isfinite(at.low)
    days = np.flatnonzero(shown) + 1
    low, high, value = at.low[shown], at.high[shown], at.value[shown]
    # Early bands are wide; they are cut off where they would make the later ones flat.
    edge = 1.1 * max(np.quantile(np.abs(np.r_[low, high]), 0.75), np.abs(value).max())
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    x = _LEFT + (days - 1) / max(len(at.low) - 1, 1) * (right - _LEFT)

    def y(values: np.ndarray) -> np.ndarray:
        return _TOP + (1 - np.clip(values / edge, -1, 1)) / 2 * (bottom - _TOP)

    def points(xs: np.ndarray, ys: np.ndarray) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs, ys, strict=True))

    return {
        "width": _WIDTH, "height": _HEIGHT, "left": _LEFT, "right": right, "top": _TOP, "bottom": bottom,
        "line": points(x, y(value)),
        "band": points(np.r_[x, x[::-1]], np.r_[y(high), y(low)[::-1]]),
        "zero": float(y(np.zeros(1))[0]),
        "y_ticks": [(float(y(np.array([v]))[0]), f"{v:+.3g}") for v in (-edge / 1.1, 0.0, edge / 1.1)],
        "x_ticks": [(float(x[k]), str(days[k])) for k in range(0, len(days), max(len(days) // 7, 1))],
        "dots": [
            (float(a), float(b), f"day {d}: {v:+.4g} ({lo:+.4g} to {hi:+.4g})")
            for a, b, d, v, lo, hi in zip(x, y(value), days, value, low, high, strict=True)
        ],
    }  # fmt: skip
