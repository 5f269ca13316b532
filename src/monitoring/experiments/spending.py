"""Boundaries for daily looks with a planned length: the allowed error is spent over the looks, knowing how alike they
are.

A confidence sequence guards against a look at every instant for ever. An experiment has one look a day and a planned
length, and the correlations of its looks are known (`looks.py`). So each look gets a share of the error (Lan and
DeMets, Biometrika 1983), and its boundary is the one that a Gaussian process with these correlations first crosses
there with that probability. The integral has as many dimensions as there are looks; it is the share of simulated
paths.

The share that is spent up to look k of n planned ones is 0.9 (k / n)^2 of alpha (Kim and DeMets, Biometrika 1987),
and what is left is spent after the planned length, 0.1 (1 - n / k): one may go on, and the intervals still hold
together.
"""

from functools import lru_cache

import numpy as np
from scipy import optimize, stats

__all__ = ["PATHS", "Paths", "spent"]

PATHS = 50_000
"""Simulated paths. With 50,000 the error that is spent differs from the intended 5 % by 0.1 percentage points."""

_WITHIN = 0.9
_LEAST_PATHS = 25
"""Where fewer paths may cross, the boundary is that of a single look, which is a little wide."""


def spent(looks: np.ndarray, planned: int) -> np.ndarray:
    """Share of alpha that is spent up to each look.

    Args:
        looks: numbers of the looks, from 1, int of shape (looks,).
        planned: number of the planned last look.

    Returns:
        float64 of the same shape, below 1.
    """
    share = np.minimum(looks / planned, 1.0) ** 2 * _WITHIN
    return share + (1 - _WITHIN) * np.maximum(1 - planned / looks, 0.0)


class Paths:
    """Simulated paths of the standardised estimate over its looks.

    Args:
        covariance: of the estimate at its looks, float of shape (looks, looks), with a positive diagonal.
        first: number of the first look, from 1.
        planned: number of the planned last look.
        count: paths.
    """

    def __init__(self, covariance: np.ndarray, *, first: int, planned: int, count: int = PATHS) -> None:
        error = np.sqrt(np.diag(covariance))
        # A look that repeats the one before it adds nothing; the ridge keeps the root defined.
        alike = covariance / np.outer(error, error) + 1e-9 * np.eye(len(error))
        self.heights = np.abs(np.linalg.cholesky(alike) @ _draws(len(error), count))
        self.spent = spent(np.arange(first, first + len(error)), planned)

    def boundary(self, alpha: float) -> np.ndarray:
        """How many standard errors an estimate may be from the truth, at each look.

        Args:
            alpha: error of both tails together, over all looks together.

        Returns:
            float64 of shape (looks,).
        """
        count = self.heights.shape[1]
        crossed = np.zeros(count, dtype=bool)
        reach = stats.norm.isf(alpha * np.diff(self.spent, prepend=0.0) / 2)
        for look, height in enumerate(self.heights):
            allowed = int(alpha * self.spent[look] * count) - int(crossed.sum())
            if allowed >= _LEAST_PATHS:
                left = height[~crossed]
                reach[look] = min(reach[look], np.partition(left, -allowed)[-allowed])
            crossed |= height > reach[look]
        return reach

    def p_value(self, z: np.ndarray) -> float:
        """The smallest alpha, from 1e-12, whose boundary was crossed at any look.

        Args:
            z: estimate divided by its standard error, float of shape (looks,).
        """

        def beyond(logarithm: float) -> float:
            return float((np.abs(z) - self.boundary(float(np.exp(logarithm)))).max())

        lowest, highest = float(np.log(1e-12)), 0.0
        if beyond(highest) <= 0:
            return 1.0
        if beyond(lowest) > 0:
            return 1e-12
        return float(np.exp(optimize.bisect(beyond, lowest, highest, xtol=0.02)))


@lru_cache(maxsize=1)
def _draws(looks: int, count: int) -> np.ndarray:
    """Standard normal numbers, (looks, count): the same at each call, and those of fewer looks first."""
    return np.random.default_rng(0).standard_normal((looks, count))
