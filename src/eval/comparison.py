"""Compare runs or methods with a baseline: differences, corrected p-values, and verdicts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.contracts.errors import ConfigError
from src.eval.checkpoint_comparison import Difference, compare_checkpoints
from src.eval.intervals import Interval, cluster_intervals
from src.eval.method_comparison import compare_methods, method_intervals
from src.eval.product_notes import product_notes
from src.eval.runs import Run, check_comparable

__all__ = ["Comparison", "Contender", "Line", "compare_runs", "group_runs", "holm", "verdict_of"]


@dataclass(frozen=True)
class Contender:
    """What is compared: a method with the runs of its seeds, or a single run.

    Attributes:
        label: unique in a comparison.
        runs: at least one; with several, all of one method and of different seeds.
    """

    label: str
    runs: tuple[Run, ...]

    @property
    def seedless(self) -> bool:
        """Whether its result is known not to depend on a seed."""
        return self.runs[0].method is not None and self.runs[0].seed is None


@dataclass(frozen=True)
class Line:
    """One contender on one metric.

    Attributes:
        metric: its name.
        label: the contender's.
        seeds: number of runs.
        interval: of its own value.
        difference: to the baseline; None for the baseline.
        adjusted: p-value after Holm's correction, or None.
        question: `checkpoint` or `method`: what the difference compares; empty for the baseline.
        verdict: `better`, `worse` or `can't tell`; `baseline` for the baseline.
    """

    metric: str
    label: str
    seeds: int
    interval: Interval
    difference: Difference | None
    adjusted: float | None
    question: str
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """All lines, by metric and then by contender, the baseline first.

    Attributes:
        lines: one for each metric and contender.
        confidence: of the intervals; 1 minus the level of the tests.
        resamples: largest number of permutations.
        queries: number of queries with a positive, on the first metric.
        products: number of their products.
        notes: on the products, of `product_notes`.
    """

    lines: list[Line]
    confidence: float
    resamples: int
    queries: int
    products: int
    notes: tuple[str, ...] = ()


def group_runs(runs: Sequence[Run], *, by_method: bool = True) -> list[Contender]:
    """Make one contender of all runs of a method, in the order in which they were given.

    Args:
        runs: the runs.
        by_method: False makes a contender of each run.

    Raises:
        ConfigError: a run was given twice, or a method has two runs of one seed, which are not independent samples.
    """
    groups: dict[object, list[Run]] = {}
    for number, run in enumerate(runs):
        alone = run.method is None or not by_method
        groups.setdefault(number if alone else run.method, []).append(run)
    for group in groups.values():
        seeds = [run.seed for run in group]
        twice = next((run for run in group if seeds.count(run.seed) > 1), None)
        if twice is not None:
            same = ", ".join(run.given for run in group if run.seed == twice.seed)
            raise ConfigError(
                f"{same}: the same method and seed ({twice.seed}), which are not two samples of the method; leave "
                "one out, or give --checkpoints to compare the runs as they are"
            )
    return [
        Contender(label, tuple(group))
        for label, group in zip(_labels([*groups.values()]), groups.values(), strict=True)
    ]


def compare_runs(
    contenders: Sequence[Contender],
    baseline: Contender,
    metrics: Sequence[str],
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare each contender with the baseline.

    Two single runs are compared query by query: which checkpoint is better. Where one of the two has several seeds,
    methods are compared; the other then needs several seeds as well, unless its result does not depend on a seed.

    The verdict is "can't tell" unless the p-value, after Holm's correction over the contenders (metric by metric), is
    at most 1 - confidence. The interval of the difference, which is not corrected, leaves out 0 where the uncorrected
    p-value is at most that.

    Args:
        contenders: all of them, the baseline among them.
        baseline: the contender that the others are compared with.
        metrics: names of columns, the primary one first.
        resamples: largest number of permutations.
        confidence: of the intervals.
        seed: of the permutations.

    Raises:
        ConfigError: the runs were not evaluated on the same queries.
    """
    check_comparable([run for contender in (baseline, *contenders) for run in contender.runs], metrics)
    products = baseline.runs[0].products()
    values = {each.label: np.stack([run.values(metrics) for run in each.runs]) for each in (baseline, *contenders)}
    draws: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    others = [each for each in contenders if each.label != baseline.label]
    differences_of: dict[str, tuple[str, list[Difference]]] = {}
    for each in others:
        pair = values[each.label], values[baseline.label]
        if len(pair[0]) == len(pair[1]) == 1:
            differences_of[each.label] = "checkpoint", compare_checkpoints(pair[0][0], pair[1][0], products, **draws)
        else:
            seedless = each.seedless, baseline.seedless
            found = compare_methods(*pair, products, confidence=confidence, seedless=seedless)
            differences_of[each.label] = "method", found
    intervals = {
        label: method_intervals(runs, products, confidence=confidence)
        if len(runs) > 1
        else cluster_intervals(runs[0], products, confidence=confidence)
        for label, runs in values.items()
    }
    lines = []
    for m, metric in enumerate(metrics):
        own = intervals[baseline.label][m]
        lines.append(Line(metric, baseline.label, len(baseline.runs), own, None, None, "", "baseline"))
        adjusted = holm({each.label: differences_of[each.label][1][m].p_value for each in others})
        for each in others:
            question, differences = differences_of[each.label]
            verdict = verdict_of(differences[m], adjusted[each.label], confidence)
            own, corrected = intervals[each.label][m], adjusted[each.label]
            lines.append(Line(metric, each.label, len(each.runs), own, differences[m], corrected, question, verdict))
    first = lines[0].interval
    notes = tuple(product_notes(baseline.runs[0].table))
    return Comparison(lines, confidence, resamples, first.queries, first.products, notes)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's step-down correction (1979); hypotheses without a p-value are not counted.

    Args:
        p_values: by name.

    Returns:
        Corrected p-values, at most 1, by name.
    """
    known = sorted((p_value, name) for name, p_value in p_values.items() if p_value is not None)
    corrected: dict[str, float | None] = dict.fromkeys(p_values)
    highest = 0.0
    for place, (p_value, name) in enumerate(known):
        highest = max(highest, min(1.0, p_value * (len(known) - place)))
        corrected[name] = highest
    return corrected


def verdict_of(difference: Difference, adjusted: float | None, confidence: float) -> str:
    """`better`, `worse` or `can't tell`; the first two need both the corrected p-value and the interval."""
    sure = adjusted is not None and adjusted <= 1 - confidence + 1e-12
    if sure and difference.low is not None and difference.low > 0:
        return "better"
    if sure and difference.high is not None and difference.high < 0:
        return "worse"
    return "can't tell"


def _labels(groups: list[list[Run]]) -> list[str]:
    """The shortest distinct labels: names, folders that hold all of a group's runs, or first folders."""
    folders = [os.path.commonpath([os.path.relpath(run.given) for run in group]) for group in groups]
    while len({Path(folder).name for folder in folders}) == 1 and all(
        len(Path(folder).parts) > 1 for folder in folders
    ):
        # A last part that all have in common (`/eval`, `/seed-0`) does not distinguish them.
        folders = [str(Path(folder).parent) for folder in folders]
    choices = [[group[0].name for group in groups], folders, [group[0].given for group in groups]]
    for labels in choices:
        if len(set(labels)) == len(labels) and all(labels):
            return labels
    raise ConfigError(f"given twice: {', '.join(sorted({label for label in labels if labels.count(label) > 1}))}")
