"""FAISS's search with parameters, whatever else the process has imported."""

import faiss
import numpy as np

__all__ = ["search_with"]


def search_with(
    index: faiss.Index, queries: np.ndarray, k: int, params: faiss.SearchParameters
) -> tuple[np.ndarray, np.ndarray]:
    """`index.search(queries, k, params=params)`.

    `faiss.contrib.torch_utils`, which pytorch-metric-learning's evaluation imports, replaces `search` in all of the
    process by one that takes no parameters, and keeps FAISS's own as `search_numpy`.
    """
    search = getattr(index, "search_numpy", index.search)
    scores, rows = search(queries, k, params=params)
    return scores, rows
