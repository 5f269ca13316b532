"""Which trials of a race are worse than the best one, by paired tests over products.

The best trial is dropped only where a test says that it is worse than one of the others. There are `trials - 1` others
and `looks` looks, so that with each one-sided test at the level

    risk / ((trials - 1) * looks)

Bonferroni's inequality bounds the probability of dropping it, at any look, by `risk`: whichever trial leads, and
although the leader was chosen by the same queries. This holds for what a look compares: the checkpoints, or with
several seeds the methods, after so many epochs. It says nothing on a trial that is worse now and would be the best
later.

Racing by tests: Maron and Moore (Hoeffding races, 1994); Birattari et al. (F-Race, 2002). Here the comparison is that
of `src.eval.compare`, and more epochs take the place of more problem instances, as in successive halving (Jamieson and
Talwalkar, 2016); but what cannot be told from the best is kept.
"""

import math
from collections.abc import Sequence

import numpy as np

from src.eval.checkpoint_comparison import Difference, compare_checkpoints
from src.eval.comparison import verdict_of
from src.eval.method_comparison import compare_methods

__all__ = ["differences_to_best", "is_worse", "level_of_a_test"]

_RESAMPLES = 10_000
_LEAST_BELOW = 20
"""Draws that must lie beyond a test's level, so that its p-value is not decided by a handful."""


def level_of_a_test(risk: float, *, trials: int, looks: int) -> float:
    """The one-sided level of a single test.

    Args:
        risk: largest probability of dropping the best trial.
        trials: at the start of the race.
        looks: at which trials are dropped.

    >>> level_of_a_test(0.05, trials=6, looks=2)
    0.005
    """
    return risk / max((trials - 1) * looks, 1)


def differences_to_best(
    values: Sequence[np.ndarray], products: np.ndarray, *, level: float, resamples: int | None = None
) -> tuple[int, list[Difference | None]]:
    """Compare each trial with the one that has the largest mean.

    Args:
        values: of each trial, float64 of shape (seeds, queries); NaN where a query has no positive.
        products: shape (queries,): the product of each query.
        level: of each one-sided test; the intervals have the confidence 1 - 2 * level.
        resamples: draws and permutations; by default as many as the level needs.

    Returns:
        The position of the best, and each trial's difference to it; None for the best.
    """
    best = int(np.argmax([np.nanmean(each) for each in values]))
    drawn = resamples or max(_RESAMPLES, math.ceil(_LEAST_BELOW / (2 * level)))
    return best, [
        None if number == best else _difference(each, values[best], products, level, drawn)
        for number, each in enumerate(values)
    ]


def is_worse(difference: Difference, *, level: float) -> bool:
    """Whether a trial is worse than the best at this level: by the p-value and by the interval."""
    return verdict_of(difference, difference.p_value, 1 - 2 * level) == "worse"


def _difference(trial: np.ndarray, best: np.ndarray, products: np.ndarray, level: float, resamples: int) -> Difference:
    # The comparisons take (seeds, queries, metrics).
    candidate, baseline, confidence = trial[:, :, None], best[:, :, None], 1 - 2 * level
    if len(trial) > 1:
        return compare_methods(candidate, baseline, products, confidence=confidence)[0]
    return compare_checkpoints(candidate[0], baseline[0], products, resamples=resamples, confidence=confidence)[0]
