"""Simulated embeddings with the structure that makes layouts differ.

Independent random vectors are the wrong test: their neighbours are all equally far, and no index finds them. The
embeddings of a catalogue lie in categories, in them in clusters (kinds of products), and around each cluster in few
directions. So:

    vector = normalise(category + cluster + spread * (z @ basis) + noise)

with 20 categories, a cluster for each 250 vectors (sizes falling as 1 / sqrt(rank)), z of 48 normal numbers of
variance 1/48 (48 is the intrinsic dimension), one of 32 orthonormal bases a cluster, and white noise of length 0.02.
Category and cluster are unit vectors. The spread grows from 0.4 in the first category to 1.6 in the last: there,
neighbours are nearly as far as strangers, so that a layout which loses precision ruins that category before the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["CATEGORIES", "Clustered"]

CATEGORIES = 20
_ROWS_OF_CLUSTER = 250
_INTRINSIC = 48
_BASES = 32
_SPREAD = (0.4, 1.6)
_NOISE = 0.02
_CHUNK = 32_768


@dataclass(frozen=True)
class Clustered:
    """A simulated set of embeddings; the same seed gives the same vectors, whatever is asked for first.

    Attributes:
        rows: vectors of the gallery.
        dim: numbers in a vector.
        seed: another seed, another set.
    """

    rows: int
    dim: int
    seed: int = 0

    def gallery(self) -> Iterator[np.ndarray]:
        """Float32 arrays of shape (at most 32,768, dim), L2-normalised, `rows` in all."""
        shape = self._shape()
        for number, count in enumerate(self._counts()):
            yield self._draw(shape, count, (1, number))[0]

    def vectors(self) -> np.ndarray:
        """The gallery in one piece: float32 of shape (rows, dim)."""
        vectors, start = np.empty((self.rows, self.dim), np.float32), 0
        for part in self.gallery():
            vectors[start : start + len(part)] = part
            start += len(part)
        return vectors

    def clusters(self) -> np.ndarray:
        """The cluster of each vector of the gallery: int64 of shape (rows,)."""
        shares = self._shape()[2]
        drawn = [self._draw_clusters(shares, count, (1, number))[0] for number, count in enumerate(self._counts())]
        return np.concatenate(drawn)

    def queries(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Further vectors: float32 of shape (count, dim), and the category of each, int64 of shape (count,)."""
        return self._draw(self._shape(), count, (2,))

    def _counts(self) -> list[int]:
        return [min(_CHUNK, self.rows - start) for start in range(0, self.rows, _CHUNK)]

    def _shape(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Centres, bases, shares and categories of the clusters."""
        rng = np.random.default_rng((self.seed, 0))
        clusters = max(CATEGORIES, self.rows // _ROWS_OF_CLUSTER)
        category = np.arange(clusters) % CATEGORIES
        centres = _directions(rng, CATEGORIES, self.dim)[category] + _directions(rng, clusters, self.dim)
        wide = rng.standard_normal((_BASES, self.dim, min(_INTRINSIC, self.dim)))
        bases = np.linalg.qr(wide)[0].transpose(0, 2, 1).astype(np.float32)
        shares = 1 / np.sqrt(rng.permutation(clusters) + 1.0)
        return centres.astype(np.float32), bases, shares / shares.sum(), category

    def _draw(
        self, shape: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], count: int, stream: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        centres, bases, shares, category = shape
        cluster, rng = self._draw_clusters(shares, count, stream)
        intrinsic = bases.shape[1]
        within = rng.standard_normal((count, intrinsic), dtype=np.float32) / np.float32(np.sqrt(intrinsic))
        spread = np.linspace(*_SPREAD, CATEGORIES, dtype=np.float32)
        within *= spread[category[cluster], None]
        vectors = rng.standard_normal((count, self.dim), dtype=np.float32) * np.float32(_NOISE / np.sqrt(self.dim))
        vectors += centres[cluster]
        for basis in range(_BASES):
            of_basis = np.flatnonzero(cluster % _BASES == basis)
            vectors[of_basis] += within[of_basis] @ bases[basis]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors, category[cluster]

    def _draw_clusters(
        self, shares: np.ndarray, count: int, stream: tuple[int, ...]
    ) -> tuple[np.ndarray, np.random.Generator]:
        rng = np.random.default_rng((self.seed, *stream))
        return rng.choice(len(shares), count, p=shares), rng


def _directions(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    drawn = rng.standard_normal((count, dim))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
