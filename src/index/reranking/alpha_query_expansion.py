"""Alpha query expansion: the query moves towards what it found, and its results are scored again."""

from dataclasses import replace

import numpy as np

from src.index.reranking.candidates import Candidates, in_steps, nearest

__all__ = ["alpha_query_expansion"]


def alpha_query_expansion(candidates: Candidates, *, alpha: float = 3.0, neighbours: int = 5) -> Candidates:
    """Replace each query by q + sum of s_i^alpha g_i over its best results g_i of score s_i, brought to norm 1.

    Radenovic, Tolias, Chum: Fine-tuning CNN image retrieval with no human annotation (2018), section 5.3; the query's
    own weight is 1, its score with itself. Results below 0 have no weight. Memory: what the candidates take.

    Args:
        candidates: what was found.
        alpha: 0 weighs all neighbours alike (average query expansion); the greater, the less far ones count.
        neighbours: results that the query moves towards, and those that tie with the last.

    Returns:
        The candidates in the same order, with the expanded queries and their cosines.
    """
    chosen = nearest(in_steps(candidates.scores), neighbours)
    weights = np.where(chosen, np.maximum(np.where(chosen, candidates.scores, 0), 0) ** alpha, 0).astype(np.float32)
    # (queries, 1, depth) @ (queries, depth, dim)
    towards = (weights[:, None, :] @ _without_gaps(candidates))[:, 0]
    queries = candidates.queries + towards
    # The sum's cosine with the query may be small, its norm may not: norm 0 takes a sum that undoes the query.
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    queries = np.where(norms > 1e-6, queries / np.maximum(norms, 1e-6), candidates.queries)
    scores = (candidates.vectors @ queries[:, :, None])[..., 0]
    return replace(candidates, queries=queries, scores=np.where(candidates.present, scores, -np.inf).astype(np.float32))


def _without_gaps(candidates: Candidates) -> np.ndarray:
    return np.where(candidates.present[..., None], candidates.vectors, np.float32(0))
