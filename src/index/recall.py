"""What an approximate index finds of what an exact one finds, and how quickly."""

import time
from dataclasses import asdict, dataclass

import numpy as np

from src.contracts.errors import GateError
from src.index.faiss_index import FaissIndex

__all__ = ["IndexQuality", "check_recall", "measure_index"]


@dataclass(frozen=True)
class IndexQuality:
    """An index against exact search over the same vectors.

    Attributes:
        recall_at_10: mean share of the true ten nearest rows that it finds.
        p50_ms: median time of a single query, in milliseconds.
        queries: held-out queries that were asked.
    """

    recall_at_10: float
    p50_ms: float
    queries: int

    def to_dict(self) -> dict[str, float | int]:
        """For the manifest."""
        return asdict(self)


def measure_index(index: FaissIndex, vectors: np.ndarray, queries: np.ndarray) -> IndexQuality:
    """Ask an index what an exact index over the same vectors knows.

    Args:
        index: built over `vectors`.
        vectors: float32 array of shape (rows, dim), L2-normalised.
        queries: float32 array of shape (queries, dim), L2-normalised, not among the vectors.
    """
    k = min(10, len(vectors))
    true_scores, _ = FaissIndex.build(vectors, layout="exact").search(queries, k)
    found, times = [], []
    for query, scores in zip(queries, true_scores, strict=True):
        start = time.perf_counter()
        _, rows = index.search(query[None], k)
        times.append(time.perf_counter() - start)
        # By score and not by row: of two equal images either is right.
        exact = vectors[rows[0][rows[0] >= 0]] @ query
        found.append(np.count_nonzero(exact >= scores[-1] - 1e-5) / k)
    return IndexQuality(float(np.mean(found)), float(np.median(times) * 1e3), len(queries))


def check_recall(quality: IndexQuality, min_recall: float) -> None:
    """Raise `GateError` where the index finds too little."""
    if not quality.recall_at_10 >= min_recall:
        raise GateError(
            f"the index's recall@10 is {quality.recall_at_10:.4f} on {quality.queries} held-out queries, "
            f"`index.min_recall={min_recall}` (off by {min_recall - quality.recall_at_10:.4f}); raise "
            "`index.ef_search` or `index.m`"
        )
