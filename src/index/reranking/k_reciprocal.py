"""k-reciprocal re-ranking: results count more if they and the query are among each other's neighbours."""

from dataclasses import replace

import numpy as np

from src.index.reranking.candidates import Candidates, in_steps, nearest

__all__ = ["k_reciprocal"]

_CHUNK_BYTES = 64 * 2**20


def k_reciprocal(candidates: Candidates, *, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Candidates:
    """Score by Jaccard distances of k-reciprocal neighbourhoods, mixed with the original distances.

    Zhong, Zheng, Cao, Li: Re-ranking person re-identification with k-reciprocal encoding (2017), with the authors'
    normalisations: squared distances over the farthest one's (of each image), encodings that sum to 1. Neighbours are
    looked for among the query and its own candidates only, so that memory does not grow with the gallery: about
    64 (depth + 1)^2 bytes a query, in chunks of 64 MiB (one query at least). With all of the gallery as candidates this
    is the published method for one query. Images that tie with a k-th neighbour are neighbours too, so the candidates'
    order decides nothing.

    Args:
        candidates: what was found.
        k1: neighbours that an image must be among to be reciprocal; it is its own first.
        k2: neighbours, itself included, whose encodings are averaged (local query expansion); 1 averages none.
        weight: share of the original distance in the final one, from 0 to 1 (the paper's lambda).

    Returns:
        The candidates in the same order, with 1 - final distance as scores: from 0 to 1.
    """
    nodes = candidates.scores.shape[1] + 1
    chunk = max(1, _CHUNK_BYTES // (64 * nodes * nodes))
    scores = [
        _scores(Candidates(*(part[start : start + chunk] for part in _parts(candidates))), k1=k1, k2=k2, weight=weight)
        for start in range(0, len(candidates.scores), chunk)
    ]
    return replace(candidates, scores=np.concatenate(scores) if scores else candidates.scores)


def _parts(candidates: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return candidates.queries, candidates.vectors, candidates.scores


def _scores(candidates: Candidates, *, k1: int, k2: int, weight: float) -> np.ndarray:
    """Scores of one chunk; node 0 is the query, node i + 1 candidate i."""
    vectors = np.concatenate([candidates.queries[:, None], candidates.vectors], axis=1)
    there = np.pad(candidates.present, ((0, 0), (1, 0)), constant_values=True)
    pairs = there[:, :, None] & there[:, None, :]
    # (queries, nodes, nodes) from here on.
    cosines = np.where(pairs, vectors @ vectors.transpose(0, 2, 1), -np.inf).astype(np.float32)
    steps = in_steps(cosines)
    distances = np.where(pairs, np.maximum(2 - 2 * cosines, 0), 0)
    farthest = distances.max(axis=2, keepdims=True)
    # Images that are all alike are at no distance from each other.
    distances = np.where(farthest > 1e-6, distances / np.maximum(farthest, 1e-6), 0)

    encodings = np.where(_neighbourhoods(steps, k1), np.exp(-distances), 0).astype(np.float32)
    encodings /= np.maximum(encodings.sum(axis=2, keepdims=True), 1e-12)
    if k2 > 1:
        averaged = nearest(steps, k2).astype(np.float32)
        encodings = averaged @ encodings / np.maximum(averaged.sum(axis=2, keepdims=True), 1)
    shared = np.minimum(encodings[:, :1], encodings[:, 1:]).sum(axis=2)
    jaccard = 1 - shared / (2 - shared)  # encodings sum to 1, so the union is 2 - intersection
    final = (1 - weight) * jaccard + weight * distances[:, 0, 1:]
    return np.where(candidates.present, 1 - final, -np.inf).astype(np.float32)


def _neighbourhoods(steps: np.ndarray, k1: int) -> np.ndarray:
    """R*(p, k1) of each node p (equation 5): its reciprocal neighbours, and those of them that mostly share it."""
    reciprocal = _mutual(nearest(steps, k1 + 1))
    half = _mutual(nearest(steps, round(k1 / 2) + 1)).astype(np.float32)
    # [p, c]: how much of c's smaller neighbourhood lies in p's.
    shared = reciprocal.astype(np.float32) @ half.transpose(0, 2, 1)
    joined = reciprocal & (shared > 2 / 3 * half.sum(axis=2)[:, None, :])
    return reciprocal | (joined.astype(np.float32) @ half > 0)


def _mutual(neighbours: np.ndarray) -> np.ndarray:
    return neighbours & neighbours.transpose(0, 2, 1)
