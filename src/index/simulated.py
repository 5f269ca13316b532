"""Vectors as encoders make them, simulated: clusters of clusters, with noise that lives in few directions."""

import numpy as np

__all__ = ["clustered_vectors"]

_INTRINSIC = 32
_BLOCK = 65_536


def clustered_vectors(
    rows: int, dim: int, *, clusters: int | None = None, noise: float = 0.7, seed: int = 0, start: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows around centres of which each is drawn around one of a few coarse centres.

    Noise and centres have their strength in 32 random directions and a tenth of it spread over all others: isotropic
    noise in 512 dimensions would put all members of a cluster equally far apart, which no encoder does.

    Args:
        rows: vectors wanted.
        dim: numbers in a vector.
        clusters: fine centres; by default one for 200 rows, at least 16.
        noise: length of a row's noise, its centre's being 1.
        seed: of the centres.
        start: of the rows; other starts give other rows of the same centres (queries, say).

    Returns:
        float32 array of shape (rows, dim), L2-normalised, and the cluster of each row, int64 of shape (rows,).
    """
    rng = np.random.default_rng(seed)
    clusters = clusters or max(16, rows // 200)
    basis = rng.standard_normal((min(_INTRINSIC, dim), dim), np.float32) / np.sqrt(dim)
    coarse = _spread(rng, max(4, clusters // 32), basis)
    centres = coarse[rng.integers(0, len(coarse), clusters)] + 0.8 * _spread(rng, clusters, basis)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rng = np.random.default_rng([seed, 1 + start])
    cluster = rng.integers(0, clusters, rows)
    vectors = np.empty((rows, dim), np.float32)
    for first in range(0, rows, _BLOCK):
        block = slice(first, min(first + _BLOCK, rows))
        vectors[block] = centres[cluster[block]] + noise * _spread(rng, block.stop - first, basis)
        vectors[block] /= np.linalg.norm(vectors[block], axis=1, keepdims=True)
    return vectors, cluster


def _spread(rng: np.random.Generator, rows: int, basis: np.ndarray) -> np.ndarray:
    """Rows of norm about 1."""
    strong = rng.standard_normal((rows, len(basis)), np.float32) @ basis / np.sqrt(len(basis))
    weak = 0.1 * rng.standard_normal((rows, basis.shape[1]), np.float32) / np.sqrt(basis.shape[1])
    return np.sqrt(0.99) * strong + weak
