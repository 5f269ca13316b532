"""Cosines of embeddings that should be equal, made so that damage shows."""

import numpy as np

__all__ = ["centred_cosine", "cosines"]


def centred_cosine(vectors: np.ndarray, expected: np.ndarray) -> float:
    """Smallest cosine of two rows after the mean of `expected` is taken off both, NaN for NaN.

    The plain cosine hides damage where embeddings cluster.

    Args:
        vectors: float array of shape (images, dim).
        expected: float array of shape (images, dim).
    """
    mean = expected.mean(axis=0, dtype=np.float64)
    return float(cosines(vectors - mean, expected - mean).min())


def cosines(vectors: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Cosine of each row with the row that is expected, in float64: float64 array of shape (images,).

    NaN gives NaN. Where the expected row is zero there is no direction to miss (a single image less its mean), which
    gives 1; where only the other is zero, its direction is lost, which gives 0.
    """
    a, b = vectors.astype(np.float64), expected.astype(np.float64)
    wanted = np.linalg.norm(b, axis=1)
    lengths = np.linalg.norm(a, axis=1) * wanted
    # Not `lengths > 0`, which NaN would fail like a zero.
    return np.where(lengths == 0, wanted == 0, (a * b).sum(axis=1) / np.where(lengths == 0, 1, lengths))
