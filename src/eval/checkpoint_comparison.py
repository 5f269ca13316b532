"""Compare two checkpoints on the same queries: interval and permutation test of their difference."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from src.eval.bootstrap import effective_products, product_totals, ratio_errors, t_interval

__all__ = ["POWER", "Difference", "compare_checkpoints", "detectable", "sign_flip_p_values"]

POWER = 0.8
"""Probability with which a difference of the size `detectable` is found."""

_CHUNK = 8 << 20
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

    The interval is Student's. Its standard error comes from resampling products (the same draws for both runs), its
    degrees of freedom are the effective number of products minus one. The p-value is the paired permutation test's.

    Args:
        candidate: float64 of shape (queries, metrics); NaN where a query has no positive.
        baseline: as `candidate`, of the same queries.
        products: shape (queries,): the product of each query.
        resamples: number of draws of products, and the largest number of permutations.
        confidence: of the intervals.
        seed: of the draws.

    Returns:
        One difference for each metric.
    """
    if not len(candidate):
        return [Difference(None, reason="no query has a positive")] * candidate.shape[1]
    sums, counts = product_totals(candidate - baseline, products)
    errors = ratio_errors(sums, counts, resamples=resamples, seed=seed)
    freedom = effective_products(counts) - 1
    p_values = sign_flip_p_values(sums, permutations=resamples, seed=seed)
    found = []
    for m in range(sums.shape[1]):
        total, with_queries = counts[:, m].sum(), int((counts[:, m] > 0).sum())
        value = float(sums[:, m].sum() / total) if total else None
        if value is None:
            found.append(Difference(None, reason="no query has a positive"))
        elif with_queries == 1:
            found.append(Difference(value, reason="all queries are of one product"))
        elif not np.abs(sums[:, m]).max() > _TOLERANCE:
            found.append(Difference(value, p_value=1.0, reason="equal on every product"))
        elif errors[m] == 0:
            found.append(Difference(value, p_value=float(p_values[m]), reason="the same difference on every product"))
        else:
            low, high = t_interval(value, float(errors[m]), float(freedom[m]), confidence)
            seen = detectable(float(errors[m]), float(freedom[m]), confidence)
            found.append(Difference(value, low, high, float(p_values[m]), seen))
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


def sign_flip_p_values(sums: np.ndarray, *, permutations: int = 10_000, seed: int = 0) -> np.ndarray:
    """Two-sided p-values of the paired permutation test that swaps the two runs product by product.

    Swapping a product changes the sign of its sum of differences. All sign patterns are enumerated where there are at
    most `permutations`; otherwise that many are drawn, and the observed pattern counts as one of them (Phipson and
    Smyth, 2010), so that a p-value is never 0.

    Args:
        sums: float64 of shape (products, metrics): sum over each product's queries of candidate minus baseline.
        permutations: largest number of patterns.
        seed: of the draws.

    Returns:
        float64 of shape (metrics,).
    """
    sums = sums[np.abs(sums).max(axis=1, initial=0.0) > _TOLERANCE]
    products = len(sums)
    limits = np.abs(sums.sum(axis=0)) - _TOLERANCE * np.maximum(np.abs(sums).sum(axis=0), 1.0)
    exact = products < 63 and 2**products <= permutations
    patterns = 2**products if exact else permutations
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // (8 * max(products, 1)))
    reached = np.zeros(sums.shape[1])
    for start in range(0, patterns, chunk):
        rows = min(chunk, patterns - start)
        if exact:
            flipped = (np.arange(start, start + rows)[:, None] >> np.arange(products) & 1).astype(np.uint8)
        else:
            drawn = np.frombuffer(rng.bytes(rows * -(-products // 8)), np.uint8).reshape(rows, -1)
            flipped = np.unpackbits(drawn, axis=1, count=products)
        # A flipped sum is subtracted twice: once to remove it, once for its new sign.
        totals = sums.sum(axis=0) - 2 * (flipped.astype(np.float64) @ sums)
        reached += (np.abs(totals) >= limits).sum(axis=0)
    return reached / patterns if exact else (reached + 1) / (patterns + 1)
