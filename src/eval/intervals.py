"""Intervals of averages over queries, in closed form; the unit is the product, not the query.

Queries of one product succeed and fail together. The average is a ratio, the sum over products of their queries' values
divided by the number of queries. Its interval holds the values that the cluster-robust score test does not reject: the
variance is that under the hypothesis, sum (S_g - n_g m)^2 for a hypothesised average m. Where a few products have most
queries, their part in the error is also in that variance, so that the interval holds 95 of 100 true values there, too.
Student's interval with the variance at the estimate is too short there (`benchmarks.null_simulations`).
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

__all__ = [
    "FEWEST",
    "Interval",
    "cluster_intervals",
    "effective_products",
    "mean_interval",
    "product_totals",
    "score_ends",
    "score_p_value",
    "too_few_products",
]

FEWEST = 3.0
"""With fewer effective products there is no interval: no method that was tried holds what it states."""


@dataclass(frozen=True)
class Interval:
    """An average over queries with its confidence interval.

    Attributes:
        value: the average; None where no query has a positive.
        low: lower end; None where the queries do not determine it.
        high: upper end, or None.
        queries: number of queries in the average.
        products: number of their products.
        reason: why there is no interval, or None.
    """

    value: float | None
    low: float | None
    high: float | None
    queries: int
    products: int
    reason: str | None = None


def product_totals(values: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and numbers of queries of each product.

    Args:
        values: float64 of shape (queries, metrics); NaN where a query has no positive.
        products: shape (queries,): the product of each query.

    Returns:
        Sums and counts, float64 of shape (products, metrics) each.
    """
    names, product = np.unique(products, return_inverse=True)
    known = np.isfinite(values)
    sums, counts = (
        np.column_stack([np.bincount(product, column, len(names)) for column in part.T])
        for part in (np.where(known, values, 0.0), known.astype(np.float64))
    )
    return sums, counts


def effective_products(counts: np.ndarray) -> np.ndarray:
    """Kish's effective number of products, (sum n)^2 / sum n^2: a few large products reduce it.

    Args:
        counts: queries of each product, float64 of shape (products, metrics).
    """
    return counts.sum(axis=0) ** 2 / np.maximum((counts**2).sum(axis=0), 1.0)


def too_few_products(counts: np.ndarray) -> str | None:
    """Why queries do not determine an interval, or None: fewer than `FEWEST` effective products.

    Args:
        counts: queries of each product, float64 of shape (products,).
    """
    products, effective = int((counts > 0).sum()), float(effective_products(counts[:, None])[0])
    if products == 1:
        return "all queries are of one product"
    if effective < FEWEST:
        return f"{products} products count as {effective:.1f} of equal size: at least {FEWEST:g} are needed"
    return None


def cluster_intervals(values: np.ndarray, products: np.ndarray, *, confidence: float = 0.95) -> list[Interval]:
    """Intervals of averages of metrics between 0 and 1.

    The score interval (see the module) is built on the logit scale, which keeps it inside [0, 1] and asymmetric near
    the ends. With products of equal size it is Student's there (`xlogit` of R's survey package). Where all queries are
    0 or all are 1, the interval is Clopper and Pearson's (1934) with an effective product as one trial.

    Args:
        values: float64 of shape (queries, metrics) in [0, 1]; NaN where a query has no positive.
        products: shape (queries,): the product of each query.
        confidence: share of such intervals that should contain the true value.

    Returns:
        One interval for each metric.

    Raises:
        ValueError: a value is not between 0 and 1.
    """
    outside = (values < -1e-6) | (values > 1 + 1e-6)
    if outside.any():
        raise ValueError(f"values must be between 0 and 1, or NaN; got {values[outside][0]}")
    if not len(values):
        return [mean_interval(np.zeros(0), np.zeros(0), confidence)] * values.shape[1]
    sums, counts = product_totals(values, products)
    return [mean_interval(*column, confidence, logit=True) for column in zip(sums.T, counts.T, strict=True)]


def mean_interval(
    sums: np.ndarray,
    counts: np.ndarray,
    confidence: float,
    *,
    logit: bool = False,
    extra: float = 0.0,
    extra_freedom: float = 1.0,
) -> Interval:
    """Interval of one average over queries.

    Args:
        sums: sum over each product's queries, float64 of shape (products,).
        counts: queries of each product, float64 of shape (products,).
        confidence: of the interval.
        logit: whether the values are between 0 and 1, and the interval is built on the logit scale.
        extra: variance of the average beyond that over products, as of a method's seeds.
        extra_freedom: its degrees of freedom.
    """
    queries, products = int(counts.sum()), int((counts > 0).sum())
    if not queries:
        return Interval(None, None, None, 0, 0, "no query has a positive")
    value = float(sums.sum() / queries)
    effective = float(effective_products(counts[:, None])[0])
    reason = too_few_products(counts)
    if reason:
        return Interval(value, None, None, queries, products, reason)
    if logit and not 1e-12 < value < 1 - 1e-12:
        bound = ((1 - confidence) / 2) ** (1 / effective)
        low, high = (0.0, 1 - bound) if value < 0.5 else (bound, 1.0)
        return Interval(round(value), low, high, queries, products)
    residuals = (sums - counts * value) / queries
    over_products = float((residuals**2).sum())
    if over_products + extra <= 1e-24:
        return Interval(value, None, None, queries, products, "all products have the same value")
    # Satterthwaite's degrees of freedom (1946); without extra variance those of the products.
    parts = over_products**2 / (effective - 1) + extra**2 / extra_freedom
    freedom = (over_products + extra) ** 2 / parts
    slope = value * (1 - value) if logit else 1.0
    centre = float(special.logit(value)) if logit else value
    found = score_ends(
        residuals / slope, counts / queries, confidence, freedom=max(freedom, 1.0), extra=extra / slope**2
    )
    low, high = (float(special.expit(centre + end)) if logit else centre + end for end in found)
    return Interval(value, low, high, queries, products)


def score_ends(
    residuals: np.ndarray,
    shares: np.ndarray,
    confidence: float,
    *,
    freedom: float | None = None,
    extra: float = 0.0,
) -> tuple[float, float]:
    """Ends of the score interval, relative to the estimate.

    If the estimate is too large by e, product g contributes r_g + e c_g to that error. The interval holds all values
    with e^2 <= q (sum (r_g + e c_g)^2 + extra), a quadratic inequality. q = K t^2 / (t^2 + K - 1) with Student's
    quantile t and K = 1 / sum c_g^2 effective products: with equal shares that is Student's interval. q < K, so that
    the interval is finite.

    Args:
        residuals: r, what each product contributes to the estimate's error at the estimate; they sum to 0. float64 of
            shape (products,).
        shares: c, the products' shares in the estimate; they sum to 1. float64 of shape (products,).
        confidence: of the interval.
        freedom: Student's degrees of freedom; by default K - 1.
        extra: variance that the residuals do not hold.
    """
    effective = 1 / float((shares**2).sum())
    quantile = float(special.stdtrit(effective - 1 if freedom is None else freedom, (1 + confidence) / 2)) ** 2
    share = quantile / (quantile + effective - 1)
    limit = effective * share
    tilt = limit * float((residuals * shares).sum())
    root = (tilt**2 + (1 - share) * limit * (float((residuals**2).sum()) + extra)) ** 0.5
    return (-tilt - root) / (1 - share), (-tilt + root) / (1 - share)


def score_p_value(
    estimate: float,
    residuals: np.ndarray,
    shares: np.ndarray,
    *,
    freedom: float | None = None,
    extra: float = 0.0,
) -> float:
    """Two-sided p-value of the hypothesis that the true value is 0; below 0.05 exactly where `score_ends` exclude 0.

    Args:
        estimate: the estimate.
        residuals: as for `score_ends`.
        shares: as for `score_ends`.
        freedom: as for `score_ends`.
        extra: as for `score_ends`.
    """
    effective = 1 / float((shares**2).sum())
    under = float(((residuals + estimate * shares) ** 2).sum()) + extra
    left = effective * under - estimate**2
    if left <= 0:
        return 0.0
    quantile = abs(estimate) * ((effective - 1) / left) ** 0.5
    return float(2 * special.stdtr(effective - 1 if freedom is None else freedom, -quantile))
