"""The paired permutation test that swaps two runs product by product, and the interval of what it does not reject.

Swapping a product changes the sign of its sum of differences. For a hypothesised difference d the sums are S_g - n_g d,
and a pattern of signs divides the products into two parts. Its total is at least as far from 0 as the observed one
exactly where d lies between the two parts' mean differences. So the interval's ends are order statistics of these means
(Hartigan, Using subsample values as typical values, 1969), and it leaves out 0 exactly where the p-value is small
enough. Both are exact where each product's differences are symmetric about the true difference, whatever the products'
sizes. No standard error is estimated.
"""

import numpy as np

__all__ = ["sign_flip_test"]

_CHUNK = 8 << 20
_TOLERANCE = 1e-9
_MOST_UNITS = 1024
"""More products than this are swapped in groups, which is as exact; the largest products stay alone."""


def sign_flip_test(
    sums: np.ndarray, counts: np.ndarray, *, permutations: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test whether differences are 0, and find the interval of the differences that the test does not reject.

    All patterns are enumerated where there are at most `permutations`. Otherwise that many are drawn, and the observed
    one counts as one of them (Phipson and Smyth, 2010), so that a p-value is never 0.

    Args:
        sums: sum over each product's queries of candidate minus baseline, float64 of shape (products, metrics).
        counts: queries of each product, as `sums`.
        permutations: largest number of patterns.
        confidence: of the interval; the test's level is 1 - confidence.
        seed: of the draws.

    Returns:
        Two-sided p-values, and the intervals' ends, float64 of shape (metrics,) each. The ends are infinite where
        there are too few products or permutations for a p-value of 1 - confidence.
    """
    sums, counts = _in_groups(sums, counts)
    units, metrics = sums.shape
    exact = 2**units <= permutations if units < 63 else False
    patterns = 2**units if exact else permutations
    low, high = (np.empty((patterns, metrics)) for _ in range(2))
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // (8 * max(units, 1)))
    for start in range(0, patterns, rows):
        stop = min(start + rows, patterns)
        if exact:
            part = (np.arange(start, stop)[:, None] >> np.arange(units) & 1).astype(np.float64)
        else:
            drawn = np.frombuffer(rng.bytes((stop - start) * -(-units // 8)), np.uint8).reshape(stop - start, -1)
            part = np.unpackbits(drawn, axis=1, count=units).astype(np.float64)
        low[start:stop], high[start:stop] = _means_of_parts(part, sums, counts)
    reached = ((low <= 0) & (high >= 0)).sum(axis=0)
    # The number of patterns that may reach a rejected difference.
    level = 1 - confidence + 1e-12
    allowed = int(level * patterns) if exact else int(level * (patterns + 1)) - 1
    p_values = reached / patterns if exact else (reached + 1) / (patterns + 1)
    if allowed < 0:
        return p_values, np.full(metrics, -np.inf), np.full(metrics, np.inf)
    low.partition(allowed, axis=0)
    high.partition(patterns - 1 - allowed, axis=0)
    return p_values, low[allowed], high[patterns - 1 - allowed]


def _in_groups(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Totals of what is swapped together; products without queries are left out."""
    size = counts.sum(axis=1)
    order = np.argsort(-size, kind="stable")[: int((size > 0).sum())]
    if len(order) <= _MOST_UNITS:
        return sums[order], counts[order]
    grouped = [np.zeros((_MOST_UNITS, sums.shape[1])) for _ in range(2)]
    for total, part in zip(grouped, (sums, counts), strict=True):
        np.add.at(total, np.arange(len(order)) % _MOST_UNITS, part[order])
    return grouped[0], grouped[1]


def _means_of_parts(part: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and higher mean difference of the products in a part and of the others; infinite where one is empty.

    Args:
        part: 1.0 where a product is in the part, else 0.0; float64 of shape (patterns, products).
        sums: as for `sign_flip_test`.
        counts: as for `sign_flip_test`.
    """
    tolerance = _TOLERANCE * np.maximum(np.abs(sums).sum(axis=0), 1.0)
    inside, inside_counts = part @ sums, part @ counts
    means = []
    for total, number in ((inside, inside_counts), (sums.sum(axis=0) - inside, counts.sum(axis=0) - inside_counts)):
        # A mean of 0 must not depend on the order of the additions.
        rounded = np.where(np.abs(total) <= tolerance, 0.0, total)
        means.append(np.where(number > 0, rounded / np.maximum(number, 1.0), np.nan))
    empty = np.isnan(means[0]) | np.isnan(means[1])
    return np.where(empty, -np.inf, np.minimum(*means)), np.where(empty, np.inf, np.maximum(*means))
