"""Choosing some of many, without chance."""

import numpy as np

__all__ = ["evenly_spread"]


def evenly_spread(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` of the positions 0 .. count - 1, evenly spread, the first and the last among them: int64."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(int)
