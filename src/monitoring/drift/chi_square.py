"""The chi-square distribution's upper tail, without SciPy, which a serving image does not have."""

import math
from functools import lru_cache

__all__ = ["tail", "tail_point"]


def tail(value: float, freedom: int) -> float:
    """The probability that a chi-square variable of `freedom` (at least 1) degrees exceeds `value`.

    Exact for whole degrees: Q(x; k) = Q(x; k - 2) + (x/2)^(k/2 - 1) exp(-x/2) / Gamma(k/2), from Q(x; 2) = exp(-x/2) or
    Q(x; 1) = erfc(sqrt(x/2)) (Abramowitz & Stegun 26.4.8).

    >>> round(tail(16.919, 9), 4)
    0.05
    """
    half = max(value, 0.0) / 2
    if half == 0:
        return 1.0
    even = freedom % 2 == 0
    found = math.exp(-half) if even else math.erfc(math.sqrt(half))
    for degrees in range(4 if even else 3, freedom + 1, 2):
        found += math.exp((degrees / 2 - 1) * math.log(half) - half - math.lgamma(degrees / 2))
    return min(found, 1.0)


@lru_cache(maxsize=4096)
def tail_point(probability: float, freedom: int) -> float:
    """The value that is exceeded with a probability above 0 and below 1: the inverse of `tail`, by bisection."""
    low, high = 0.0, float(freedom)
    while tail(high, freedom) > probability:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, freedom) > probability else (low, middle)
    return high
