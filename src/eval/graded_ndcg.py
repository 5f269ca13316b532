"""NDCG with graded relevance: results that share the product or the category have a gain as well."""

import numpy as np

__all__ = ["graded_ndcg_at_k"]


def graded_ndcg_at_k(
    top_grades: np.ndarray, levels: np.ndarray, level_counts: np.ndarray, k: int, *, gain: str = "exponential"
) -> np.ndarray:
    """Sum of gain / log2(1 + rank) over the first k results, over that of the best order of the whole gallery.

    The ideal is exact: it follows from the number of entries of each grade in the gallery, not from the results.

    Args:
        top_grades: int8 of shape (queries, depth): grades of the best results in order, 0 where there is none.
        levels: int64 of shape (levels,): the grades that results can have, ascending, without 0.
        level_counts: int64 of shape (queries, levels): entries of each of these grades that the query can find.
        k: at most `depth`.
        gain: of a grade g, `exponential`: 2^g - 1 (Burges et al., 2005), or `linear`: g (Jarvelin, Kekalainen, 2002).

    Returns:
        float64 of shape (queries,); 0 where nothing has a grade.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    found = _gains(top_grades[:, :k], gain) @ discounts
    # The rank at which each grade ends in the ideal order, the highest first.
    ends = np.minimum(np.cumsum(level_counts[:, ::-1], axis=1), k)
    summed = np.concatenate([[0.0], np.cumsum(discounts)])[ends]
    ideal = np.diff(summed, axis=1, prepend=0.0) @ _gains(levels[::-1], gain)
    return found / np.where(ideal > 0, ideal, 1)


def _gains(grades: np.ndarray, gain: str) -> np.ndarray:
    worth = grades.astype(np.float64)
    return np.exp2(worth) - 1 if gain == "exponential" else worth
