"""FAISS's search with parameters, at the cost of FAISS alone."""

import faiss
import numpy as np

__all__ = ["search_with"]


def search_with(
    index: faiss.Index, queries: np.ndarray, k: int, params: faiss.SearchParameters
) -> tuple[np.ndarray, np.ndarray]:
    """`index.search(queries, k, params=params)` by the method below FAISS's Python wrapper.

    The wrapper checks again what an index of ours has checked, which is part of each query. And
    `faiss.contrib.torch_utils`, which pytorch-metric-learning's evaluation imports, replaces the wrapper in all of the
    process by one that takes no parameters; this one it leaves alone.

    Args:
        index: what is searched.
        queries: float32 array of shape (queries, dim), C-contiguous; SWIG refuses other dtypes and layouts.
        k: at least 1.
        params: of the index's kind.

    Returns:
        Scores, float32 of shape (queries, k), and rows, int64 of the same shape, -1 where fewer were found.
    """
    assert queries.shape[1] == index.d
    scores = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    index.search_c(len(queries), faiss.swig_ptr(queries), k, faiss.swig_ptr(scores), faiss.swig_ptr(rows), params)
    return scores, rows
