"""Candidates in their pessimistic order: ranks of the positives, and the best results."""

from dataclasses import dataclass

import numpy as np

__all__ = ["EPSILON", "NEVER", "Ordered", "order_candidates"]

EPSILON = 1e-6
"""Cosines that differ by no more than this are ties."""

NEVER = np.iinfo(np.int64).max
"""Fills the ranks of queries that have fewer positives than others."""

_LOW = -4.0
"""Below every cosine, and finite."""


@dataclass(frozen=True)
class Ordered:
    """What follows from candidates.

    Attributes:
        ranks: int64 of shape (queries, width), ascending from 1, filled with `NEVER`: of the positives whose rank no
            row that isn't a candidate can change.
        top: int64 of shape (queries, depth): columns of the best results, filled with -1.
        certain: int64 of shape (queries,): units that stand before all rows that aren't candidates.
    """

    ranks: np.ndarray
    top: np.ndarray
    certain: np.ndarray


def order_candidates(
    scores: np.ndarray,
    counted: np.ndarray,
    relevant: np.ndarray,
    grades: np.ndarray,
    floor: np.ndarray,
    *,
    width: int,
    depth: int,
) -> Ordered:
    """Order candidates: a positive stands behind every negative that scores as high, ties included.

    Among negatives that tie the lower grade comes first.

    Args:
        scores: float32 of shape (queries, k), descending.
        counted: bool of that shape: one entry a unit, none that the query must not find.
        relevant: bool of that shape: entries of the query's item.
        grades: int8 of that shape.
        floor: float64 of shape (queries,): no row that isn't a candidate scores higher; -inf where there is none.
        width: columns of `ranks`.
        depth: columns of `top`.
    """
    size = len(scores)
    exact = np.maximum(scores.astype(np.float64), _LOW)
    certain = counted & (exact > floor[:, None] + 2 * EPSILON)
    positive, negative = counted & relevant, counted & ~relevant
    row, column = np.nonzero(positive)
    # One ascending list of all rows' scores: it tells how many entries of a row score as high as a positive.
    ascending = (np.arange(size)[:, None] * 16 - exact).ravel()
    as_high = (
        np.searchsorted(ascending, row * 16 - (exact[row, column] - EPSILON), side="right") - row * scores.shape[1]
    )
    ahead = np.cumsum(negative, axis=1)[row, as_high - 1]
    place = np.cumsum(positive, axis=1)[row, column]

    ranks = np.full((size, width), NEVER)
    known = certain[row, column]
    ranks[row[known], place[known] - 1] = (ahead + place)[known]

    # Negatives get 0, 1, 2, ... in their order, a positive with n of them ahead n - 0.5.
    lowered = exact - EPSILON * grades / max(1, int(grades.max(initial=1)))
    order = np.argsort(np.where(negative, -lowered, np.inf), axis=1, kind="stable")
    position = np.full(scores.shape, np.inf)
    np.put_along_axis(position, order, np.broadcast_to(np.arange(scores.shape[1], dtype=float), scores.shape), axis=1)
    position[~negative] = np.inf
    position[row, column] = ahead - 0.5
    order = np.argsort(position, axis=1, kind="stable")[:, :depth]
    top = np.where(np.take_along_axis(counted, order, axis=1), order, -1)
    top = np.pad(top, ((0, 0), (0, depth - top.shape[1])), constant_values=-1)
    count = np.where(floor > -np.inf, np.count_nonzero(certain, axis=1), NEVER)
    return Ordered(ranks, top, count)
