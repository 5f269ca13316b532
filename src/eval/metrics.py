"""Retrieval metrics of each query, from the ranks of its positives; see docs/evaluation.md for formulas and sources.

All functions take `ranks`, int64 of shape (queries, most positives), ascending from 1 and filled with `NEVER`, and
return float64 of shape (queries,). Averages are over queries, never pooled. Queries without a positive get 0 here;
`measure` makes them NaN, and `summarise` leaves them out and counts them.
"""

from collections.abc import Mapping

import numpy as np

from src.contracts.errors import LookalikeError
from src.eval.graded_ndcg import graded_ndcg_at_k
from src.eval.protocol import Protocol
from src.eval.ranking import Ranking

__all__ = [
    "average_precision_at_k",
    "average_precision_at_r",
    "measure",
    "ndcg_at_k",
    "precision_at_k",
    "r_precision",
    "recall_at_k",
    "reciprocal_rank",
    "summarise",
]


def recall_at_k(ranks: np.ndarray, k: int) -> np.ndarray:
    """1 where a positive is among the first k, else 0: metric learning's Recall@K (Jegou, Douze, Schmid, 2011)."""
    return (ranks[:, 0] <= k).astype(np.float64)


def precision_at_k(ranks: np.ndarray, k: int) -> np.ndarray:
    """Positives among the first k, divided by k whatever R is (Manning, Raghavan, Schuetze, 2008, 8.4)."""
    return np.count_nonzero(ranks <= k, axis=1) / k


def r_precision(ranks: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Positives among the first R, divided by R (Manning, Raghavan, Schuetze, 2008, 8.4)."""
    return np.count_nonzero(ranks <= positives[:, None], axis=1) / np.maximum(positives, 1)


def average_precision_at_k(ranks: np.ndarray, positives: np.ndarray, k: int) -> np.ndarray:
    """Sum of the precisions at the hits among the first k, divided by min(R, k).

    Of the three conventions (hits in k, R, min(R, k)) this one reaches 1 for a perfect ranking whatever R and k are.
    """
    return _precision_sum(ranks, np.full(len(ranks), k)) / np.maximum(np.minimum(positives, k), 1)


def average_precision_at_r(ranks: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """mAP@R (Musgrave, Belongie, Lim: A Metric Learning Reality Check, 2020): k is the query's own R."""
    return _precision_sum(ranks, positives) / np.maximum(positives, 1)


def ndcg_at_k(ranks: np.ndarray, positives: np.ndarray, k: int) -> np.ndarray:
    """Discounted gain 1 / log2(1 + rank) of the hits among the first k, over that of a perfect ranking.

    Binary: results of other items have a gain of 0 (Jarvelin, Kekalainen, 2002, with gains of 0 and 1).
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(positives, k)]
    hits = ranks <= k
    gains = np.where(hits, discounts[np.where(hits, ranks, 1) - 1], 0.0).sum(axis=1)
    return gains / np.where(ideal > 0, ideal, 1)


def reciprocal_rank(ranks: np.ndarray) -> np.ndarray:
    """1 / rank of the first positive, over the whole gallery (Voorhees, 1999)."""
    return np.where(ranks[:, 0] < np.iinfo(np.int64).max, 1 / ranks[:, 0], 0.0)


def measure(ranking: Ranking, protocol: Protocol) -> dict[str, np.ndarray]:
    """Each metric's value for each query: float64 of shape (queries,), NaN where the query has no positive."""
    ranks, positives = ranking.ranks, ranking.positives
    at_k = {
        "recall": lambda k: recall_at_k(ranks, k),
        "precision": lambda k: precision_at_k(ranks, k),
        "map": lambda k: average_precision_at_k(ranks, positives, k),
        "ndcg": lambda k: ndcg_at_k(ranks, positives, k),
        "graded_ndcg": lambda k: graded_ndcg_at_k(
            ranking.top_grades, ranking.levels, ranking.level_counts, k, gain=protocol.gain
        ),
    }
    values = {f"{name}@{k}": at_k[name](k) for name, ks in protocol.metrics.items() for k in ks}
    values["map@r"] = average_precision_at_r(ranks, positives)
    values["r_precision"] = r_precision(ranks, positives)
    values["mrr"] = reciprocal_rank(ranks)
    return {name: np.where(positives > 0, value, np.nan) for name, value in values.items()}


def summarise(values: Mapping[str, np.ndarray], positives: np.ndarray) -> dict[str, float | int]:
    """The metrics of `metrics.json`: averages over the queries that have a positive, and how many have and have not.

    Args:
        values: of `measure`.
        positives: int64 of shape (queries,).

    Raises:
        LookalikeError: no query has one.
    """
    answerable = positives > 0
    if not answerable.any():
        raise LookalikeError(f"none of {len(answerable)} queries has a positive in the gallery: nothing to measure")
    return {name: float(value[answerable].mean()) for name, value in values.items()} | {
        "queries": int(answerable.sum()),
        "queries_without_positives": int((~answerable).sum()),
    }


def _precision_sum(ranks: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    hits_so_far = np.arange(1, ranks.shape[1] + 1)
    return np.where(ranks <= cutoffs[:, None], hits_so_far / ranks, 0.0).sum(axis=1)
