"""The report of one period as one HTML file, which needs neither network nor other files."""

import base64
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from src.contracts.drift_reference import SCALARS, DriftReference
from src.monitoring.drift.comparison import Comparison, Finding
from src.monitoring.drift.diagnosis import Diagnosis, Suspect
from src.monitoring.drift.families import FAMILIES
from src.monitoring.drift.window import Window

__all__ = ["render"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 110, 40, 8, 20
_MOST_RATIO = 5.0
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def render(
    *,
    bundle_id: str,
    reference: DriftReference,
    baseline: Window | None,
    windows: Sequence[Window],
    comparisons: Sequence[Comparison],
    diagnoses: Sequence[Diagnosis],
    windows_per_month: float,
) -> str:
    """The page; the windows are of consecutive periods, and so are what was found in them."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Our own file, which is not escaped.
    style = Markup((here.parents[1] / "eval" / "report" / "page.css").read_text())  # noqa: S704
    worst = max(range(len(windows)), key=lambda number: _strength(comparisons[number]))
    return environment.get_template("page.html.jinja").render(
        style=style,
        bundle_id=bundle_id,
        source="an earlier window of production" if baseline else f"the bundle's {reference.source}",
        of_reference=baseline.images if baseline else int(reference.images),
        windows=[_described(*parts) for parts in zip(windows, comparisons, diagnoses, strict=True)],
        images=sum(window.images for window in windows),
        dropped=sum(window.dropped for window in windows),
        per_month=windows_per_month,
        level=comparisons[0].families[0].level,
        families=[_family(place, comparisons) for place in range(len(FAMILIES))],
        plots=[_plot(name, [c.families[place].ratio for c in comparisons]) for place, name in enumerate(FAMILIES)],
        scalars=_scalars(windows[worst], reference),
        zip=zip, width=_WIDTH, height=_HEIGHT, left=_LEFT, limit=_y(1.0),
    )  # fmt: skip


def _strength(comparison: Comparison) -> float:
    return max(family.ratio for family in comparison.families)


def _described(window: Window, comparison: Comparison, diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "began": _when(window.started),
        "ended": _when(window.ended),
        "images": window.images,
        "alarms": comparison.alarms,
        "verdict": diagnosis.verdict,
        "rank": comparison.effective_rank,
        "reference_rank": comparison.reference_rank,
        "canary": window.canary,
        "suspects": [_suspect(suspect) for suspect in diagnosis.suspects],
    }


def _suspect(suspect: Suspect) -> dict[str, Any]:
    pictures = [
        {
            "request": example.request,
            "category": example.category,
            "photo": f"data:image/jpeg;base64,{base64.b64encode(example.photo).decode()}" if example.photo else "",
        }
        for example in suspect.examples
    ]
    return {"family": suspect.family, "finding": suspect.finding, "bars": _bars(suspect.finding), "examples": pictures}


def _bars(finding: Finding) -> list[tuple[float, float]]:
    """Heights of the window's and the reference's bars, in percent of the highest."""
    most = max([*finding.shares, *finding.reference_shares], default=1.0)
    return [
        (100 * now / most, 100 * then / most)
        for now, then in zip(finding.shares, finding.reference_shares, strict=True)
    ]


def _family(place: int, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    found = [comparison.families[place] for comparison in comparisons]
    strongest = max(found, key=lambda family: family.ratio)
    return {
        "name": strongest.name,
        "tests": len(strongest.findings),
        "alarms": sum(bool(family.alarms) for family in found),
        "over_10": sum(family.over_10 > 0 for family in found),
        "over_20": sum(family.over_20 > 0 for family in found),
        "untested": strongest.untested,
        "first": strongest.findings[0] if strongest.findings else None,
    }


def _plot(name: str, ratios: Sequence[float]) -> dict[str, Any]:
    """A line of the family's ratio to its threshold; above 1 is an alarm."""
    step = (_WIDTH - _LEFT - 10) / max(len(ratios) - 1, 1)
    dots = [(_LEFT + number * step, _y(ratio), ratio) for number, ratio in enumerate(ratios)]
    return {"name": name, "line": " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots), "dots": dots}


def _y(ratio: float) -> float:
    return _HEIGHT - _BOTTOM - min(ratio, _MOST_RATIO) / _MOST_RATIO * (_HEIGHT - _TOP - _BOTTOM)


def _scalars(window: Window, reference: DriftReference) -> list[dict[str, Any]]:
    places = np.array([round(100 * share) for share in _QUANTILES])
    return [
        {
            "name": name,
            "now": window.quantiles(number, np.array(_QUANTILES)).tolist(),
            "then": reference.quantiles[number, places].tolist(),
        }
        for number, name in enumerate(SCALARS)
    ]


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds)) if seconds else "unknown"
