"""How many threads FAISS takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss

__all__ = ["deterministic_threads", "faiss_threads"]


@contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """Let FAISS use `count` threads for calls from this thread, then as many as before."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def deterministic_threads() -> int:
    """Threads on which an HNSW graph comes out the same each time.

    All of them since FAISS 1.15, whose insertion goes in batches with an order of its own (facebookresearch/faiss,
    pull request 5486, after ParlayANN, arXiv 2305.04359); before it threads raced for the links, so one.
    """
    return int(faiss.omp_get_max_threads()) if hasattr(faiss.HNSW, "compute_forward_links_deterministic") else 1
