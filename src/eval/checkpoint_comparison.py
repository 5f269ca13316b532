"""Compare two checkpoints on the same queries: permutation test and interval of their difference."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from src.eval.intervals import effective_products, product_totals
from src.eval.sign_flips import sign_flip_test

__all__ = ["POWER", "Difference", "compare_checkpoints", "detectable"]

POWER = 0.8
"""Probability with which a difference of the size `detectable` is found."""

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline.

    Attributes:
        value: difference of the averages; None where no query has a positive.
        low: lower end of its interval; None where the data do not determine it.
        high: upper end, or None.
        p_value: two-sided, of the hypothesis that the two are equal; None where the data do not determine it.
        detectable: the true difference that would be found in 80 of 100 such comparisons, or None.
        reason: why a value is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    detectable: float | None = None
    reason: str | None = None


def compare_checkpoints(
    candidate: np.ndarray,
    baseline: np.ndarray,
    products: np.ndarray,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Difference]:
    """Compare two runs query by query.

    The p-value is the paired permutation test's that swaps the runs product by product, and the interval holds the
    differences that this test does not reject (`sign_flip_test`): it leaves out 0 exactly where p <= 1 - confidence.

    Args:
        candidate: float64 of shape (queries, metrics); NaN where a query has no positive.
        baseline: as `candidate`, of the same queries.
        products: shape (queries,): the product of each query.
        resamples: largest number of permutations.
        confidence: of the intervals.
        seed: of the permutations.

    Returns:
        One difference for each metric.

    Raises:
        ValueError: a query has a value in one of the runs only, or a value is infinite.
    """
    if not len(candidate):
        return [Difference(None, reason="no query has a positive")] * candidate.shape[1]
    if np.isinf(candidate).any() or np.isinf(baseline).any():
        raise ValueError("a value is infinite")
    alone = np.isnan(candidate) != np.isnan(baseline)
    if alone.any():
        raise ValueError(f"query {np.flatnonzero(alone.any(axis=1))[0]} has a value in one of the two runs only")
    sums, counts = product_totals(candidate - baseline, products)
    freedom = effective_products(counts) - 1
    tests = sign_flip_test(sums, counts, permutations=resamples, confidence=confidence, seed=seed)
    found = []
    for m, (p_value, low, high) in enumerate(zip(*tests, strict=True)):
        total, with_queries = counts[:, m].sum(), int((counts[:, m] > 0).sum())
        value = float(sums[:, m].sum() / total) if total else None
        if value is None:
            found.append(Difference(None, reason="no query has a positive"))
        elif with_queries == 1:
            found.append(Difference(value, reason="all queries are of one product"))
        elif not np.abs(sums[:, m]).max() > _TOLERANCE:
            found.append(Difference(value, p_value=1.0, reason="equal on every product"))
        elif not np.isfinite(high - low):
            reason = f"{with_queries} products are too few for an interval at {confidence:.0%}"
            found.append(Difference(value, p_value=float(p_value), reason=reason))
        else:
            error = float(high - low) / 2 / stats.t.ppf((1 + confidence) / 2, max(freedom[m], 1.0))
            seen = detectable(error, float(freedom[m]), confidence)
            found.append(Difference(value, float(low), float(high), float(p_value), seen))
    return found


def detectable(error: float, freedom: float, confidence: float) -> float:
    """The true difference that a two-sided test at this confidence finds in 80 of 100 cases.

    Args:
        error: standard error of the difference.
        freedom: its degrees of freedom; fewer than one count as one.
        confidence: 1 minus the test's level.
    """
    freedom = max(freedom, 1.0)
    return float(stats.t.ppf((1 + confidence) / 2, freedom) + stats.t.ppf(POWER, freedom)) * error
