"""Estimate how likely a result is looked at, by rank: the propensities of the position-based model, from a log.

The model: P(click) = examination(rank) x relevance(query, item). A log in which the same item is shown at several ranks
for the same query separates examination from relevance without randomised rankings (intervention harvesting: Agarwal,
Zaitsev, Wang, Li, Najork, Joachims: Estimating Position Bias without Intrusive Interventions, WSDM 2019). All
comparisons are used at once: given the number of clicks of an item for a query, the distribution of the clicks over the
ranks depends on the examination and the impressions, not on the relevance. That is the conditional likelihood of the
Poisson model with fixed effects (Hausman, Hall, Griliches, Econometrica 1984); only its mean needs to be correct
(Wooldridge, J. Econometrics 1999), it is valid with two impressions an item, and it is concave. Regression-EM (Wang,
Golbandi, Bendersky, Metzler, Najork, WSDM 2018) would need a correct model of relevance.

Assumptions: the rank of an item varies between sessions for reasons that do not influence its clicks (a search engine
that promotes items after a click violates this); the relevance of an item to a query is constant over the log; and a
click depends on its own rank and item only.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from src.contracts.errors import LookalikeError

__all__ = ["Propensities", "estimate_propensities"]

_ROUNDING = 1e-12
_SMALLEST_STEP = 1e-8
_MOST_STEPS = 100


@dataclass(frozen=True)
class Propensities:
    """Examination by rank, relative to rank 1; entry r - 1 is of rank r.

    Attributes:
        values: float64 of shape (ranks,); 1 for rank 1, NaN where the log does not determine it.
        errors: float64 of shape (ranks,): standard errors of the values' logarithms.
        clicks: int64 of shape (ranks,): clicks that could be compared with other ranks.
    """

    values: np.ndarray
    errors: np.ndarray
    clicks: np.ndarray

    def at(self, ranks: np.ndarray) -> np.ndarray:
        """The values at some ranks, NaN for those deeper than what was estimated.

        Args:
            ranks: int array of any shape, from 1.

        Returns:
            float64 of the same shape.
        """
        known = ranks <= len(self.values)
        return np.where(known, self.values[np.where(known, ranks, 1) - 1], np.nan)


def estimate_propensities(pairs: np.ndarray, ranks: np.ndarray, clicked: np.ndarray, *, deepest: int) -> Propensities:
    """Estimate the examination of ranks 1 to `deepest`.

    Only pairs that were shown at two or more ranks, and clicked, contribute. Standard errors are clustered by pair
    (sandwich). Time and memory grow with the impressions, and with the square of `deepest`.

    Args:
        pairs: int64 of shape (impressions,), equal where query and item are.
        ranks: int64 of shape (impressions,), from 1.
        clicked: bool of shape (impressions,).
        deepest: impressions below this rank are left out.

    Raises:
        LookalikeError: no rank can be compared with rank 1.
    """
    kept = ranks <= deepest
    shown, clicks = _counts(pairs[kept], ranks[kept] - 1, clicked[kept], deepest)
    compared = _compared_with_first(shown, clicks)
    if len(compared) < 2:
        raise LookalikeError(
            f"propensities of ranks 1..{deepest}: no item was shown at rank 1 and at another one for the same query, "
            "and clicked at both; a longer log is needed"
        )
    shown, clicks = shown[:, compared], clicks[:, compared]
    informative = (np.diff(shown.indptr) > 1) & (clicks.sum(axis=1) > 0)
    shown, clicks = shown[informative], clicks[informative]
    logs, covariance = _fit(shown, clicks)
    values, errors = np.full(deepest, np.nan), np.full(deepest, np.nan)
    values[compared] = np.exp(logs)
    errors[compared] = np.sqrt(np.diag(covariance))
    counts = np.zeros(deepest, np.int64)
    counts[compared] = clicks.sum(axis=0)
    return Propensities(values, errors, counts)


def _counts(
    pairs: np.ndarray, places: np.ndarray, clicked: np.ndarray, deepest: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Impressions and clicks of each pair at each rank: float64 of shape (pairs, deepest)."""
    names, numbers = np.unique(pairs, return_inverse=True)
    size = (len(names), deepest)
    shown = sparse.csr_array((np.ones(len(pairs)), (numbers, places)), shape=size)
    return shown, sparse.csr_array((clicked.astype(np.float64), (numbers, places)), shape=size)


def _compared_with_first(shown: sparse.csr_array, clicks: sparse.csr_array) -> np.ndarray:
    """The ranks whose examination is finite and not 0 relative to rank 1.

    An edge leads from a rank to another where a pair that was shown at the first was clicked at the second. The
    likelihood has a maximum where each rank leads to each other one (Ford, Amer. Math. Monthly 1957).
    """
    edges = (shown > 0).astype(np.float64).T @ (clicks > 0).astype(np.float64)
    _, component = connected_components(edges, directed=True, connection="strong")
    return np.flatnonzero(component == component[0])


def _fit(shown: sparse.csr_array, clicks: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method on the logarithms: the maximum, float64 (ranks,), and its covariance, 0 for the first."""
    totals = clicks.sum(axis=1)
    logs = np.zeros(shown.shape[1])
    shares, value = _shares(shown, clicks, totals, logs)
    for _ in range(_MOST_STEPS):
        step = np.linalg.solve(_curvature(shares, totals), (clicks - shares).sum(axis=0)[1:])
        # The likelihood is concave: a step is halved until the likelihood does not decrease.
        while True:
            tried = logs + np.r_[0.0, step]
            tried_shares, tried_value = _shares(shown, clicks, totals, tried)
            if tried_value >= value - _ROUNDING * abs(value):
                break
            step = step / 2
        logs, shares, value = tried, tried_shares, tried_value
        if np.abs(step).max() < _SMALLEST_STEP:
            break
    bread = np.linalg.inv(_curvature(shares, totals))
    residuals = clicks - shares
    covariance = np.zeros((len(logs), len(logs)))
    covariance[1:, 1:] = bread @ (residuals.T @ residuals).toarray()[1:, 1:] @ bread
    return logs, covariance


def _shares(
    shown: sparse.csr_array, clicks: sparse.csr_array, totals: np.ndarray, logs: np.ndarray
) -> tuple[sparse.csr_array, float]:
    """Clicks expected at each rank given each pair's total (pairs, ranks), and the log-likelihood."""
    looks = shown @ sparse.diags_array(np.exp(logs))
    sums = looks.sum(axis=1)
    expected = sparse.diags_array(totals / sums) @ looks
    return expected.tocsr(), float(clicks.sum(axis=0) @ logs - totals @ np.log(sums))


def _curvature(shares: sparse.csr_array, totals: np.ndarray) -> np.ndarray:
    """Negative second derivative by the logarithms of all ranks but the first."""
    outer = (shares.T @ sparse.diags_array(1 / totals) @ shares).toarray()
    return (np.diag(shares.sum(axis=0)) - outer)[1:, 1:]
