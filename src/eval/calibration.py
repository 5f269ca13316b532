"""Fits the probability that a first result is right, and measures how true such probabilities are."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from sklearn.isotonic import isotonic_regression

from src.eval.first_results import FirstResults
from src.eval.intervals import Interval, cluster_intervals
from src.eval.open_set import false_alarms, least_score
from src.search.confidence import Confidence

__all__ = ["LEAST_PRODUCTS", "LEAST_QUERIES", "Calibrated", "fit_confidence", "measure_calibration"]

LEAST_QUERIES, LEAST_PRODUCTS = 100, 20
_STEP = 30
"""Queries of a step of the fitted function at least: fewer say little about a probability."""
_GROUPS = 10


def fit_confidence(results: FirstResults) -> Confidence | None:
    """Fit on photos that nothing was trained on.

    The evidence is the first score and its distance to the second one, weighed by a logistic regression; the
    probability is the isotonic regression of being right on the evidence (Zadrozny and Elkan, "Transforming Classifier
    Scores into Accurate Multiclass Probability Estimates", KDD 2002), in steps of at least 30 queries. A step's
    interval is that of its share over products (`cluster_intervals`), made monotone like the steps.

    Args:
        results: of the validation split, searched in the gallery that will answer.

    Returns:
        None for fewer than 100 queries or 20 products.
    """
    products = len(set(results.products))
    if len(results) < LEAST_QUERIES or products < LEAST_PRODUCTS:
        return None
    weight = _margin_weight(results)
    evidence = results.first + weight * (results.first - results.second)
    order = np.argsort(evidence, kind="stable")
    fitted = isotonic_regression(results.right[order].astype(np.float64))
    steps = _steps(fitted, evidence[order])
    parts = [order[start:stop] for start, stop in zip(steps, [*steps[1:], len(order)], strict=True)]
    right = [float(results.right[part].mean()) for part in parts]
    ends = [_ends(results.right[part], results.products[part]) for part in parts]
    # A step may overlap its neighbours by chance; the function rises, and so do the ends of its intervals.
    low = np.maximum.accumulate([low for low, _ in ends])
    high = np.minimum.accumulate([high for _, high in ends][::-1])[::-1]
    return Confidence(
        margin_weight=weight,
        starts=[float(evidence[part[0]]) for part in parts],
        right=[float(value) for value in isotonic_regression(right, sample_weight=[len(part) for part in parts])],
        low=[float(value) for value in low],
        high=[float(value) for value in high],
        least_score=float(least_score(results.first)[0]),
        false_alarms=float(false_alarms(results.first, results.stranger)[0]),
        queries=len(results),
        products=products,
    )


@dataclass(frozen=True)
class Group:
    """Queries of like probability: the mean of what was stated, and the share that was right with its interval."""

    stated: float
    right: Interval


@dataclass(frozen=True)
class Calibrated:
    """How true stated probabilities are on queries that they were not fitted on.

    Attributes:
        metrics: `calibration_brier` (mean squared error of the probability; Brier, 1950), `calibration_base_brier` (of
            the constant share right, which knows nothing of a query) and `calibration_error` (mean distance of what is
            stated and the share right in the groups).
        groups: at most ten of equal size, in the order of the stated probability.
    """

    metrics: dict[str, float]
    groups: list[Group]


def measure_calibration(fitted: Confidence, results: FirstResults, *, confidence: float = 0.95) -> Calibrated:
    """Measure probabilities.

    Args:
        fitted: on other photos.
        results: of the evaluated split, not empty.
        confidence: of the groups' intervals.
    """
    stated = fitted.probabilities(results.first, results.second)
    right = results.right.astype(np.float64)
    parts = np.array_split(np.argsort(stated, kind="stable"), min(_GROUPS, len(stated)))
    groups = [
        Group(
            float(stated[part].mean()),
            cluster_intervals(right[part, None], results.products[part], confidence=confidence)[0],
        )
        for part in parts
    ]
    gaps = [len(part) * abs(stated[part].mean() - right[part].mean()) for part in parts]
    metrics = {
        "calibration_brier": float(np.mean((stated - right) ** 2)),
        "calibration_base_brier": float(right.mean() * (1 - right.mean())),
        "calibration_error": float(sum(gaps) / len(stated)),
    }
    return Calibrated(metrics, groups)


def _margin_weight(results: FirstResults) -> float:
    """The margin's coefficient relative to the first score's, of a logistic regression; 0 where it does not help."""
    features = np.column_stack([results.first, results.first - results.second])
    scale = features.std(axis=0)
    if not results.right.any() or results.right.all() or not scale.all():
        return 0.0
    scaled = (features - features.mean(axis=0)) / scale
    sign = np.where(results.right, 1.0, -1.0)

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (scaled @ at[:2] + at[2])
        slope = -sign / (1 + np.exp(np.minimum(margin, 50)))
        gradient = np.r_[slope @ scaled / len(sign), slope.mean()]
        gradient[:2] += 1e-3 * at[:2]
        return float(np.logaddexp(0, -margin).mean() + 5e-4 * (at[:2] ** 2).sum()), gradient

    # Neither a higher score nor a greater distance may speak against an answer.
    found = minimize(loss, np.array([1.0, 0.0, 0.0]), jac=True, bounds=[(1e-3, None), (0, None), (None, None)]).x[:2]
    first, margin = found / scale
    return float(margin / first)


def _steps(fitted: np.ndarray, evidence: np.ndarray) -> list[int]:
    """Where steps start: where the fitted function and the evidence rise, and at least `_STEP` queries apart."""
    starts = [0]
    for place in np.flatnonzero((np.diff(fitted) > 0) & (np.diff(evidence) > 0)) + 1:
        if place - starts[-1] >= _STEP and len(fitted) - place >= _STEP:
            starts.append(int(place))
    return starts


def _ends(right: np.ndarray, products: np.ndarray) -> tuple[float, float]:
    interval = cluster_intervals(right[:, None].astype(np.float64), products)[0]
    return (0.0, 1.0) if interval.low is None or interval.high is None else (interval.low, interval.high)
