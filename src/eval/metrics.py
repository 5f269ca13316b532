"""Retrieval metrics of each query, from the ranks of its positives.

All functions take `ranks`, int64 of shape (queries, most positives), ascending from 1 and filled with `NEVER`, and
return float64 of shape (queries,). Averages are over queries, never pooled. Queries without a positive get 0 here;
`summarise` leaves them out and counts them.
"""

import numpy as np

from src.contracts.errors import LookalikeError
from src.eval.ranking import Ranking

__all__ = [
    "average_precision_at_k",
    "average_precision_at_r",
    "measure",
    "ndcg_at_k",
    "recall_at_k",
    "reciprocal_rank",
    "summarise",
]


def recall_at_k(ranks: np.ndarray, k: int) -> np.ndarray:
    """1 where a positive is among the first k, else 0: metric learning's Recall@K (Jegou, Douze, Schmid, 2011)."""
    return (ranks[:, 0] <= k).astype(np.float64)


def average_precision_at_k(ranks: np.ndarray, positives: np.ndarray, k: int) -> np.ndarray:
    """Sum of the precisions at the hits among the first k, divided by min(R, k).

    Of the three conventions (hits in k, R, min(R, k)) this one reaches 1 for a perfect ranking whatever R and k are.
    """
    return _precision_sum(ranks, np.full(len(ranks), k)) / np.maximum(np.minimum(positives, k), 1)


def average_precision_at_r(ranks: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """mAP@R (Musgrave, Belongie, Lim: A Metric Learning Reality Check, 2020): k is the query's own R."""
    return _precision_sum(ranks, positives) / np.maximum(positives, 1)


def ndcg_at_k(ranks: np.ndarray, positives: np.ndarray, k: int) -> np.ndarray:
    """Discounted gain 1 / log2(1 + rank) of the hits among the first k, over that of a perfect ranking."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(positives, k)]
    hits = ranks <= k
    gains = np.where(hits, discounts[np.where(hits, ranks, 1) - 1], 0.0).sum(axis=1)
    return gains / np.where(ideal > 0, ideal, 1)


def reciprocal_rank(ranks: np.ndarray) -> np.ndarray:
    """1 / rank of the first positive, over the whole gallery."""
    return np.where(ranks[:, 0] < np.iinfo(np.int64).max, 1 / ranks[:, 0], 0.0)


def measure(ranking: Ranking) -> dict[str, np.ndarray]:
    """Each metric's value for each query: float64 of shape (queries,), NaN where the query has no positive."""
    ranks, positives = ranking.ranks, ranking.positives
    values = {f"recall@{k}": recall_at_k(ranks, k) for k in (1, 5, 10)}
    values["map@10"] = average_precision_at_k(ranks, positives, 10)
    values["map@r"] = average_precision_at_r(ranks, positives)
    values["ndcg@10"] = ndcg_at_k(ranks, positives, 10)
    values["mrr"] = reciprocal_rank(ranks)
    return {name: np.where(positives > 0, value, np.nan) for name, value in values.items()}


def summarise(ranking: Ranking) -> dict[str, float | int]:
    """The metrics of `metrics.json`, averaged over the queries that have a positive.

    Raises:
        LookalikeError: no query has one.
    """
    answerable = ranking.positives > 0
    if not answerable.any():
        raise LookalikeError(f"none of {len(answerable)} queries has a positive in the gallery: nothing to measure")
    return {name: float(value[answerable].mean()) for name, value in measure(ranking).items()} | {
        "queries": int(answerable.sum()),
        "queries_without_positives": int((~answerable).sum()),
    }


def _precision_sum(ranks: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    hits_so_far = np.arange(1, ranks.shape[1] + 1)
    return np.where(ranks <= cutoffs[:, None], hits_so_far / ranks, 0.0).sum(axis=1)
