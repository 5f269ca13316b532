"""FAISS's search with parameters, whatever else the process has imported."""

import sys

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
    # Asking the index for a method that it lacks would take longer than this, which is part of each query.
    search = index.search_numpy if "faiss.contrib.torch_utils" in sys.modules else index.search
    scores, rows = search(queries, k, params=params)
    return scores, rows
