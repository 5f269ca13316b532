"""A filtered search of a graph, planned by cost, whose answers are known to be complete."""

from collections.abc import Callable

import numpy as np

from src.index.filter_plan import plan_filter

__all__ = ["filtered_search"]

Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def filtered_search(
    queries: np.ndarray, k: int, allowed: np.ndarray, *, graph: Search, scan: Search, ef_search: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest allowed rows of each query; see `filter_plan`.

    Args:
        queries: float32 array of shape (queries, dim).
        k: rows wanted.
        allowed: bool array of shape (rows,), not all False.
        graph: approximate search without a filter: queries and depth to scores and rows, best first, both of shape
            (queries, depth), -1 for what is missing.
        scan: exact search of the allowed rows: queries and k to scores and rows of shape (queries, at most k).
        ef_search: candidates that `graph` takes at least.

    Returns:
        Scores, float32 of shape (queries, min(k, allowed rows)), descending, and rows, int64 of the same shape.
    """
    passing = int(np.count_nonzero(allowed))
    k = min(k, passing)
    scores = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    missing = np.arange(len(queries))
    lift, searched = 1.0, 0
    while len(missing):
        plan = plan_filter(
            rows=len(allowed), passing=passing, k=k, dim=queries.shape[1], lift=lift, ef_search=ef_search
        )
        if plan.way == "scan" or plan.depth < 2 * searched:
            scores[missing], rows[missing] = scan(queries[missing], k)
            break
        # What a search explores at no further cost is asked for as well.
        searched = max(plan.depth, ef_search)
        near_scores, near = graph(queries[missing], searched)
        passes = (near >= 0) & allowed[near]
        complete = passes.sum(axis=1) >= k
        first = np.argsort(~passes[complete], axis=1, kind="stable")[:, :k]
        scores[missing[complete]] = np.take_along_axis(near_scores[complete], first, 1)
        rows[missing[complete]] = np.take_along_axis(near[complete], first, 1)
        missing = missing[~complete]
        if len(missing):
            lift = float(passes[~complete].mean()) * len(allowed) / passing
    return scores, rows
