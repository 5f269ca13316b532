"""From a log to a decision: the primary metric decides, guardrails may forbid, a wrong sample ratio forbids all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.monitoring.experiments.looks import Differences, difference_at_looks
from src.monitoring.experiments.metrics import METRICS, Metric
from src.monitoring.experiments.multiplicity import benjamini_hochberg, holm
from src.monitoring.experiments.sample_ratio import sample_ratio_p_values
from src.monitoring.experiments.user_totals import ExperimentLog

__all__ = ["RATIO_ALPHA", "Analysis", "Result", "analyse"]

RATIO_ALPHA = 0.001
"""A wrong sample ratio is a bug with near certainty, or a false alarm in one experiment of a thousand."""


@dataclass(frozen=True)
class Result:
    """One metric of one variant against the control.

    Attributes:
        metric: what was measured.
        variant: its name.
        role: `primary`, `guardrail` or `secondary`.
        at: the differences at each look.
        p_value: sequential, adjusted for its family: Holm over the variants of a primary metric, and over all
            guardrails; Benjamini and Hochberg over all secondary ones.
        verdict: `better`, `worse` or `can't tell`; of guardrails also `not harmed`: the interval ends above the margin.
        adjusted: whether the period before the experiment was used (CUPED).
    """

    metric: Metric
    variant: str
    role: str
    at: Differences
    p_value: float
    verdict: str
    adjusted: bool


@dataclass(frozen=True)
class Analysis:
    """What is known at the last look.

    Attributes:
        log: the users and their variants.
        results: primary metric first, then guardrails, then the others.
        ratio: sequential p-values of the sample ratio at each look, (looks,).
        alpha: error of each family.
        planned: planned looks; None for an experiment without a plan.
        decision: what to do, in one sentence for each variant.
    """

    log: ExperimentLog
    results: tuple[Result, ...]
    ratio: np.ndarray
    alpha: float
    planned: int | None
    decision: tuple[str, ...]


def analyse(
    log: ExperimentLog,
    primary: str,
    guardrails: Sequence[str] = (),
    *,
    alpha: float = 0.05,
    planned: int | None = None,
    margin: float = 0.05,
) -> Analysis:
    """Compare each variant with the control by all metrics.

    Args:
        log: the placed users.
        primary: name of the metric that decides.
        guardrails: names of metrics that must not fall; all others of `METRICS` are secondary.
        alpha: error of each family of tests, over all looks.
        planned: length in days that was fixed before the start.
        margin: a guardrail is not harmed where its interval ends above this relative fall.
    """
    treated = log.variants[1:]
    others = [name for name in METRICS if name != primary and name not in guardrails]
    roles = {primary: "primary", **dict.fromkeys(guardrails, "guardrail"), **dict.fromkeys(others, "secondary")}
    # Intervals of a family that decides hold together.
    tests = {"primary": len(treated), "guardrail": len(treated) * max(len(guardrails), 1), "secondary": 1}
    found: list[tuple[str, str, str, Differences, bool]] = []
    for name, role in roles.items():
        control = log.arm(METRICS[name], 0)
        for number, variant in enumerate(treated, start=1):
            arm = log.arm(METRICS[name], number)
            at = difference_at_looks(control, arm, alpha=alpha / tests[role], planned=planned)
            found.append((name, variant, role, at, control.pre_y is not None and arm.pre_y is not None))
    p_values = np.array([at.p_value() for _, _, _, at, _ in found])
    family = np.array([role for _, _, role, _, _ in found])
    for role, adjust in (("primary", holm), ("guardrail", holm), ("secondary", benjamini_hochberg)):
        p_values[family == role] = adjust(p_values[family == role].tolist())
    results = tuple(
        Result(METRICS[name], variant, role, at, float(p), _verdict(at, float(p), alpha, role, margin), adjusted)
        for (name, variant, role, at, adjusted), p in zip(found, p_values, strict=True)
    )
    ratio = sample_ratio_p_values(log.counts(), log.shares)
    decision = _ratio_wrong(log, ratio) or tuple(
        f"{name}: {_decision([each for each in results if each.variant == name], log.days, planned)}"
        for name in treated
    )
    return Analysis(log, results, ratio, alpha, planned, decision)


def _verdict(at: Differences, p_value: float, alpha: float, role: str, margin: float) -> str:
    """The direction is that of the look at which the difference was furthest beyond its boundary."""
    if p_value > alpha or at.first is None:
        safe = role == "guardrail" and at.low[-1] >= -margin * at.control[-1]
        return "not harmed" if safe else "can't tell"
    z = at.value[at.first :] / at.error[at.first :]
    reach = (at.high - at.value)[at.first :] / at.error[at.first :]
    return "better" if z[np.argmax(np.abs(z) - reach)] > 0 else "worse"


def _ratio_wrong(log: ExperimentLog, ratio: np.ndarray) -> tuple[str, ...]:
    if ratio[-1] > RATIO_ALPHA:
        return ()
    seen = ", ".join(f"{name} {count:,}" for name, count in zip(log.variants, log.counts()[-1], strict=True))
    return (
        f"Invalid: users are not in the planned shares ({seen}; planned {_shares(log)}; p = {ratio[-1]:.2g}). Find "
        "what loses or adds users of one variant (redirects, crashes, bots, a filter of the log). No difference below "
        "can be believed.",
    )


def _shares(log: ExperimentLog) -> str:
    return ", ".join(f"{share:.1%}" for share in log.shares)


def _decision(results: Sequence[Result], days: int, planned: int | None) -> str:
    primary = next(each for each in results if each.role == "primary")
    harmed = [each.metric.name for each in results if each.role == "guardrail" and each.verdict == "worse"]
    name = primary.metric.name
    if harmed:
        return f"do not ship: it harms {', '.join(harmed)}"
    if primary.verdict == "better":
        open_ones = [each.metric.name for each in results if each.role == "guardrail" and each.verdict == "can't tell"]
        if open_ones:
            return (
                f"{name} is better, but whether it harms {', '.join(open_ones)} is not known: keep running, or "
                "ship it if what their intervals allow is acceptable"
            )
        return f"ship: {name} is better"
    if primary.verdict == "worse":
        return f"do not ship: {name} is worse"
    at = primary.at
    if at.first is None:
        return f"keep running: {name} comes from too few users as yet ({at.effective[-1]:.0f} effectively)"
    between = f"the true difference is between {at.low[-1]:+.4g} and {at.high[-1]:+.4g}"
    if planned is not None and days < planned:
        return f"keep running, day {days} of {planned}: {between}"
    if planned is not None:
        return f"no decision within the planned {planned} days: {between}; ship it only for other reasons"
    return f"keep running: {between}"
