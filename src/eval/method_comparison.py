"""Compare two methods by runs with several seeds; seeds and products are both treated as a sample.

Seeds are nested in methods and crossed with products, like readers and cases in radiology. The variance of the
difference of the methods' means is that of Obuchowski and Rockette's model for readers nested within tests (Hillis: A
marginal-mean ANOVA approach for analyzing multireader multicase radiological imaging data, 2014):

    s_A^2 / k_A  +  s_B^2 / k_B  +  max(0, cov_A + cov_B - 2 cov_AB)

s^2 is the variance between a method's k seeds, which includes the noise of single products; cov_A and cov_B are the
covariances over products between two seeds of one method, cov_AB those between seeds of the two (jackknife over
products). With three to five seeds a bootstrap over seeds gives intervals that are too narrow: the variance of its
sample is too small by (k - 1) / k, and it assumes normal tails. Student's t with Satterthwaite's degrees of freedom
corrects both.
"""

import numpy as np
from scipy import special, stats

from src.eval.checkpoint_comparison import Difference, detectable
from src.eval.intervals import Interval, effective_products, mean_interval, product_totals, too_few_products

__all__ = ["compare_methods", "method_intervals"]


def compare_methods(
    candidate: np.ndarray,
    baseline: np.ndarray,
    products: np.ndarray,
    *,
    confidence: float = 0.95,
    seedless: tuple[bool, bool] = (False, False),
) -> list[Difference]:
    """Compare two methods by their runs with several seeds.

    Args:
        candidate: float64 of shape (seeds, queries, metrics); NaN where a query has no positive.
        baseline: as `candidate`, of the same queries; the number of seeds may differ.
        products: shape (queries,): the product of each query.
        confidence: of the intervals.
        seedless: whether the result of candidate and baseline does not depend on a seed, as a colour histogram's; one
            run is then sufficient.

    Returns:
        One difference of the means for each metric. With fewer than two seeds on one side it has no interval, and
        `reason` says so.
    """
    runs = np.concatenate([candidate, baseline])
    seeds = (len(candidate), len(baseline))
    values, covariances, counts = _run_covariances(runs, products)
    found = []
    for m in range(runs.shape[2]):
        if not np.isfinite(values[:, m]).all():
            found.append(Difference(None, reason="no query has a positive"))
            continue
        first, second = values[: seeds[0], m], values[seeds[0] :, m]
        value = float(first.mean() - second.mean())
        if any(runs_of < 2 and not fixed for runs_of, fixed in zip(seeds, seedless, strict=True)):
            found.append(Difference(value, reason="at least two seeds of each method are needed"))
            continue
        reason = too_few_products(counts[:, m])
        if reason:
            found.append(Difference(value, reason=reason))
            continue
        own = covariances[m, : seeds[0], : seeds[0]], covariances[m, seeds[0] :, seeds[0] :]
        shared = sum(map(_off_diagonal, own)) - 2 * covariances[m, : seeds[0], seeds[0] :].mean()
        behind = float(effective_products(counts)[m])
        parts = [_seed_part(first, own[0], behind), _seed_part(second, own[1], behind), (max(shared, 0.0), behind - 1)]
        found.append(_student(value, *_satterthwaite(parts), confidence))
    return found


def method_intervals(runs: np.ndarray, products: np.ndarray, *, confidence: float = 0.95) -> list[Interval]:
    """Intervals of a method's mean over seeds and products, on the logit scale as `cluster_intervals`.

    Args:
        runs: float64 of shape (seeds, queries, metrics), at least two seeds.
        products: shape (queries,): the product of each query.
        confidence: of the intervals.
    """
    values, covariances, counts = _run_covariances(runs, products)
    sums, _ = product_totals(runs.mean(axis=0), products)
    intervals = []
    for m in range(runs.shape[2]):
        noise, seeds = _noise(covariances[m]), len(runs)
        # The products' part holds the noise of single products; what the seeds' spread has beyond it is added.
        extra = max(float(values[:, m].var(ddof=1)) - noise, 0.0) / seeds
        intervals.append(
            mean_interval(sums[:, m], counts[:, m], confidence, logit=True, extra=extra, extra_freedom=seeds - 1)
        )
    return intervals


def _run_covariances(runs: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Averages (runs, metrics), their jackknife covariances over products (metrics, runs, runs), and counts."""
    totals = [product_totals(run, products) for run in runs]
    sums, counts = np.stack([part for part, _ in totals]), totals[0][1]
    queries = counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = sums.sum(axis=1) / queries
        without = (sums.sum(axis=1, keepdims=True) - sums) / (queries - counts)
    behind = (counts > 0).sum(axis=0)
    without = np.where((counts > 0) & np.isfinite(without), without - values[:, None], 0.0)
    covariances = np.einsum("rpm,spm->mrs", without, without)
    covariances *= ((behind - 1) / np.maximum(behind, 1))[:, None, None]
    return values, covariances, counts


def _seed_part(values: np.ndarray, covariance: np.ndarray, products: float) -> tuple[float, float]:
    """Variance of a mean over seeds and its degrees of freedom.

    The variance of a few seeds may be small by chance. Its true value is at least what the noise of single products
    contributes, which is estimated from all products.
    """
    if len(values) == 1:
        return 0.0, 1.0
    noise = _noise(covariance)
    spread = values.var(ddof=1)
    if spread < noise:
        return float(noise / len(values)), products - 1
    return float(spread / len(values)), len(values) - 1.0


def _noise(covariance: np.ndarray) -> float:
    """Variance of a run's average by the products that this seed alone finds harder or easier."""
    return float(np.trace(covariance) / len(covariance) - _off_diagonal(covariance))


def _off_diagonal(matrix: np.ndarray) -> float:
    """Mean covariance of two different seeds' runs; of a single run its variance, since a rerun would be equal."""
    size = len(matrix)
    if size == 1:
        return float(matrix[0, 0])
    return float((matrix.sum() - np.trace(matrix)) / (size * (size - 1)))


def _satterthwaite(parts: list[tuple[float, float]]) -> tuple[float, float]:
    """The sum of independent variances and its degrees of freedom (Satterthwaite, 1946)."""
    variance = sum(part for part, _ in parts)
    spread = sum(part**2 / max(freedom, 1.0) for part, freedom in parts)
    return float(variance), float(variance**2 / spread) if spread > 0 else 1.0


def _student(value: float, variance: float, freedom: float, confidence: float) -> Difference:
    if variance <= 1e-24:
        same = "equal on every product and seed" if abs(value) < 1e-12 else "no spread between seeds or products"
        return Difference(value, p_value=1.0 if abs(value) < 1e-12 else None, reason=same)
    error = variance**0.5
    half = float(special.stdtrit(max(freedom, 1.0), (1 + confidence) / 2)) * error
    p_value = float(2 * stats.t.sf(abs(value) / error, freedom))
    return Difference(value, value - half, value + half, p_value, detectable(error, freedom, confidence))
