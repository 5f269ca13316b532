"""What re-ranking works on: each query beside the results that a search found for it."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Candidates", "in_steps", "nearest"]

_STEPS = 1_000_000
_OUT = -np.iinfo(np.int64).max  # its negative is a number too


@dataclass(frozen=True)
class Candidates:
    """Queries and their results; lists may have gaps.

    Attributes:
        queries: float32 of shape (queries, dim), L2-normalised.
        vectors: float32 of shape (queries, depth, dim), L2-normalised: the results' images. Anything in gaps.
        scores: float32 of shape (queries, depth): the greater the better, in any order; -inf in gaps.
    """

    queries: np.ndarray
    vectors: np.ndarray
    scores: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """Where there is a result: bool of shape (queries, depth)."""
        return self.scores > -np.inf


def in_steps(scores: np.ndarray) -> np.ndarray:
    """Scores as multiples of 1e-6, int64, so that what float32 cannot tell apart is equal; gaps are lowest."""
    steps = np.full(scores.shape, _OUT)
    present = scores > -np.inf
    steps[present] = np.rint(scores[present].astype(np.float64) * _STEPS).astype(np.int64)
    return steps


def nearest(steps: np.ndarray, k: int) -> np.ndarray:
    """The k best of each row and what ties with the k-th, so that no order decides; fewer where there are fewer.

    Args:
        steps: int64 of shape (..., entries), of `in_steps`.
        k: entries wanted, at least 1.

    Returns:
        bool of the shape of `steps`.
    """
    place = steps.shape[-1] - min(k, steps.shape[-1])
    kth = np.partition(steps, place, axis=-1)[..., place, None]
    return (steps >= kth) & (steps > _OUT)
