"""Effective rank: over how many directions embeddings spread."""

import numpy as np

__all__ = ["effective_rank"]


def effective_rank(count: int, total: np.ndarray, products: np.ndarray) -> float:
    """The exponential of the entropy of the covariance's normalised eigenvalues (Roy & Vetterli, EUSIPCO 2007).

    It is the number of directions where the embeddings spread over them equally, and 1 where all lie on one line.

    Args:
        count: vectors that were summed, n.
        total: float64 (dims,), their sum.
        products: float64 (dims, dims), sum of their outer products.

    Returns:
        From 1 to dims; 0 where the vectors do not spread, or there is none.

    >>> import numpy as np
    >>> float(round(effective_rank(4, np.zeros(2), np.eye(2)), 6))
    2.0
    """
    if count < 2:
        return 0.0
    mean = total / count
    values = np.linalg.eigvalsh(products / count - np.outer(mean, mean))
    # Rounding leaves about this much of a direction without spread.
    values = values[values > 1e-12 * max(float(np.trace(products)) / count, 1e-300)]
    if not len(values):
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
