"""What an approximate index finds of what an exact one finds, and how quickly."""

import time
from dataclasses import asdict, dataclass

import faiss
import numpy as np

from src.contracts.errors import GateError
from src.index.faiss_index import FaissIndex
from src.index.threads import faiss_threads

__all__ = ["IndexQuality", "check_recall", "kth_scores", "measure_index"]

_WARM = 20


@dataclass(frozen=True)
class IndexQuality:
    """An index against exact search over the same vectors.

    Attributes:
        recall_at_10: mean share of the true ten nearest rows that it finds.
        p50_ms: median time of a single query on one thread, in milliseconds.
        p99_ms: the time that 99 % of them keep.
        queries: held-out queries that were asked.
    """

    recall_at_10: float
    p50_ms: float
    p99_ms: float
    queries: int

    def to_dict(self) -> dict[str, float | int]:
        """For the manifest."""
        return asdict(self)


def kth_scores(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The cosine of each query's tenth nearest vector, or of the farthest where there are fewer: float32 (queries,)."""
    # As plain arrays: where pytorch-metric-learning's evaluation was imported, FAISS takes no mapped ones.
    scores, _ = faiss.knn(queries, np.asarray(vectors), min(10, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
    last: np.ndarray = scores[:, -1]
    return last


def measure_index(
    index: FaissIndex, vectors: np.ndarray, queries: np.ndarray, *, kth: np.ndarray | None = None
) -> IndexQuality:
    """Ask an index what an exact index over the same vectors knows, one query at a time on one thread.

    Args:
        index: built over `vectors`.
        vectors: float32 array of shape (rows, dim), L2-normalised.
        queries: float32 array of shape (queries, dim), L2-normalised, not among the vectors.
        kth: `kth_scores` of the two, where they are known already.
    """
    k = min(10, len(vectors))
    kth = kth_scores(vectors, queries) if kth is None else kth
    found, times = [], []
    with faiss_threads(1):
        for query in queries[:_WARM]:
            index.search(query[None], k)
        for query, score in zip(queries, kth, strict=True):
            start = time.perf_counter()
            _, rows = index.search(query[None], k)
            times.append(time.perf_counter() - start)
            # By score and not by row: of two equal images either is right.
            found.append(np.count_nonzero(vectors[rows[0][rows[0] >= 0]] @ query >= score - 1e-5) / k)
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return IndexQuality(float(np.mean(found)), float(p50), float(p99), len(queries))


def check_recall(quality: IndexQuality, min_recall: float) -> None:
    """Raise `GateError` where the index finds too little."""
    if not quality.recall_at_10 >= min_recall:
        raise GateError(
            f"the index's recall@10 is {quality.recall_at_10:.4f} on {quality.queries} held-out queries, "
            f"`index.min_recall={min_recall}` (off by {min_recall - quality.recall_at_10:.4f}); raise "
            "`index.ef_search`, `index.nprobe` or `index.k_factor`, or let `index.layout=auto` choose"
        )
