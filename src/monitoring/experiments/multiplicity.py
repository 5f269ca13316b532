"""P-values of several tests at once: Holm for what decides, Benjamini and Hochberg for what is only looked at."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

__all__ = ["benjamini_hochberg", "holm"]


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values: of those at most alpha, none is false with probability 1 - alpha (Holm 1979).

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values: of those at most alpha, a share alpha is false on average (Benjamini and Hochberg 1995)."""
    return np.asarray(stats.false_discovery_control(p_values)) if len(p_values) else np.zeros(0)
