"""Exact nearest neighbours, by FAISS: on its GPUs where it was built with some, else on the CPU."""

from functools import cache
from typing import Any

import faiss
import numpy as np

__all__ = ["nearest"]

_MOST_ON_GPU = 2048
"""Neighbours that FAISS finds on a GPU at most."""


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the gallery with the largest inner product, exactly. No index is built: the vectors stay where
    they are.

    Args:
        queries: float32 of shape (queries, dim), contiguous.
        gallery: float32 of shape (rows, dim), contiguous.
        k: at most `rows`.

    Returns:
        Inner products, float32 of shape (queries, k), descending, and their rows, int64.
    """
    if faiss.get_num_gpus() and k <= _MOST_ON_GPU:
        scores, rows = faiss.knn_gpu(_resources(), queries, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)
    else:
        scores, rows = faiss.knn(queries, np.asarray(gallery), k, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows.astype(np.int64, copy=False)


@cache
def _resources() -> Any:
    """A GPU's scratch memory, taken once."""
    return faiss.StandardGpuResources()
