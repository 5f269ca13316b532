"""Intervals of averages over queries, by resampling products.

Queries of one product succeed and fail together, so products are drawn, each with all of its queries. The estimate is a
ratio: the sum over the queries of the drawn products, divided by their number.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

__all__ = [
    "Interval",
    "cluster_intervals",
    "effective_products",
    "logit_interval",
    "product_totals",
    "ratio_errors",
    "resampled_totals",
    "t_interval",
]

_CHUNK = 8 << 20
"""Bytes of weights in memory at once; they should fit the processor's cache."""


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


def resampled_totals(totals: np.ndarray, *, resamples: int, seed: int = 0) -> np.ndarray:
    """Column totals over products that are drawn with replacement, as many as there are.

    Args:
        totals: float64 of shape (products, columns).
        resamples: how often to draw.
        seed: of the draws. All columns get the same draws, and so do all calls with one seed and number of products.

    Returns:
        float64 of shape (resamples, columns).
    """
    products = len(totals)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // (8 * products))
    parts = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = rng.integers(0, products, (rows, products), dtype=np.int64)
        drawn += np.arange(0, rows * products, products)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * products).reshape(rows, products)
        parts.append(weights.astype(np.float64) @ totals)
    return np.concatenate(parts)


def ratio_errors(sums: np.ndarray, counts: np.ndarray, *, resamples: int, seed: int = 0) -> np.ndarray:
    """Bootstrap standard errors of sums over counts, float64 of shape (metrics,).

    They are scaled by sqrt(G / (G - 1)) for G products, since the variance of the sample that is drawn from is too
    small by the square of that factor.

    Args:
        sums: float64 of shape (products, metrics).
        counts: as `sums`; products without queries are drawn, too, and add nothing.
        resamples: how often to draw.
        seed: of the draws.
    """
    drawn = resampled_totals(np.column_stack([sums, counts]), resamples=resamples, seed=seed)
    numerators, denominators = np.split(drawn, 2, axis=1)
    empty = denominators == 0
    ratios = np.where(empty, np.nan, numerators / np.where(empty, 1.0, denominators))
    with_queries = (counts > 0).sum(axis=0)
    # Products with equal values differ by rounding alone, which must not count as an error.
    errors = np.where(empty.all(axis=0), 0.0, np.nanstd(np.where(empty.all(axis=0), 0.0, ratios), axis=0))
    errors = np.where(errors < 1e-12, 0.0, errors)
    return errors * np.sqrt(with_queries / np.maximum(with_queries - 1, 1))


def effective_products(counts: np.ndarray) -> np.ndarray:
    """Kish's effective number of products, (sum n)^2 / sum n^2: a few large products reduce it.

    Args:
        counts: queries of each product, float64 of shape (products, metrics).
    """
    return counts.sum(axis=0) ** 2 / np.maximum((counts**2).sum(axis=0), 1.0)


def cluster_intervals(
    values: np.ndarray, products: np.ndarray, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> list[Interval]:
    """Intervals of averages of metrics between 0 and 1.

    The standard error comes from resampling products. With it and Student's t, whose degrees of freedom are the
    effective number of products minus one, the interval is built on the logit scale (`xlogit` of R's survey package),
    which keeps it inside [0, 1] and asymmetric near the ends. Percentiles of the same draws cover too little with few
    products: with 30 products and a true value of 0.98 a sample often holds nothing but ones
    (`benchmarks.null_simulations` compares). Where all queries are 0 or all are 1, the interval is Clopper and
    Pearson's (1934) with a product as one trial.

    Args:
        values: float64 of shape (queries, metrics) in [0, 1]; NaN where a query has no positive.
        products: shape (queries,): the product of each query.
        resamples: how often products are drawn.
        confidence: share of such intervals that should contain the true value.
        seed: of the draws.

    Returns:
        One interval for each metric.
    """
    if not len(values):
        return [Interval(None, None, None, 0, 0, "no query has a positive")] * values.shape[1]
    sums, counts = product_totals(values, products)
    errors = ratio_errors(sums, counts, resamples=resamples, seed=seed)
    effective = effective_products(counts)
    return [
        _interval(sums[:, m].sum(), counts[:, m], float(errors[m]), float(effective[m]), confidence)
        for m in range(values.shape[1])
    ]


def _interval(total: float, counts: np.ndarray, error: float, effective: float, confidence: float) -> Interval:
    queries, products = int(counts.sum()), int((counts > 0).sum())
    if not queries:
        return Interval(None, None, None, 0, 0, "no query has a positive")
    value = float(total / queries)
    if products == 1:
        return Interval(value, None, None, queries, 1, "all queries are of one product")
    if value <= 1e-12 or value >= 1 - 1e-12:
        bound = ((1 - confidence) / 2) ** (1 / effective)
        low, high = (0.0, 1 - bound) if value < 0.5 else (bound, 1.0)
        return Interval(round(value), low, high, queries, products)
    if error == 0:
        return Interval(value, None, None, queries, products, "all products have the same value")
    return Interval(value, *logit_interval(value, error, effective - 1, confidence), queries, products)


def logit_interval(value: float, error: float, freedom: float, confidence: float) -> tuple[float, float]:
    """Student's interval on the logit scale, transformed back; value and error are on the scale from 0 to 1."""
    ends = t_interval(float(np.log(value / (1 - value))), error / (value * (1 - value)), freedom, confidence)
    low, high = (float(0.5 + 0.5 * np.tanh(end / 2)) for end in ends)
    return low, high


def t_interval(value: float, error: float, freedom: float, confidence: float) -> tuple[float, float]:
    """Student's interval; fewer than one degree of freedom count as one."""
    half = float(special.stdtrit(max(freedom, 1.0), (1 + confidence) / 2)) * error
    return value - half, value + half
