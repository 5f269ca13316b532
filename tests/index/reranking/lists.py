"""Random and ugly candidate lists for the re-rankers' tests."""

import numpy as np

from src.index.reranking.candidates import Candidates

__all__ = ["make_candidates", "shuffled", "tied_candidates", "unit"]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def make_candidates(rng: np.random.Generator, queries: int, depth: int, dim: int, *, gaps: float = 0.0) -> Candidates:
    """Vectors that are all somewhat alike, scored by cosine, with some gaps."""
    return _scored(rng, rng.standard_normal((queries, dim)) + 1, rng.standard_normal((queries, depth, dim)) + 1, gaps)


def tied_candidates(rng: np.random.Generator, queries: int, depth: int, *, gaps: float = 0.0) -> Candidates:
    """Vectors out of a handful: duplicates and equal cosines everywhere."""
    pool = np.array([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y], dtype=float)[: rng.integers(1, 9)]
    chosen = pool[rng.integers(0, len(pool), (queries, depth + 1))]
    return _scored(rng, chosen[:, 0], chosen[:, 1:], gaps)


def shuffled(candidates: Candidates, order: np.ndarray) -> Candidates:
    return Candidates(candidates.queries, candidates.vectors[:, order], candidates.scores[:, order])


def _scored(rng: np.random.Generator, queries: np.ndarray, vectors: np.ndarray, gaps: float) -> Candidates:
    asked, found = unit(queries), unit(vectors)
    scores = (found @ asked[:, :, None])[..., 0]
    missing = rng.random(scores.shape) < gaps
    found[missing] = np.nan  # nothing may be read there
    return Candidates(asked, found, np.where(missing, -np.inf, scores).astype(np.float32))
