"""Exact and HNSW search on FAISS."""

from pathlib import Path

import faiss
import numpy as np

from src.contracts.errors import BundleError, LookalikeError
from src.index.filtered_search import filtered_search
from src.index.subset_scan import scan_allowed

__all__ = ["EXACT_BELOW", "FaissIndex", "choose_layout"]

EXACT_BELOW = 50_000
"""Vectors up to which an exact scan is quick enough (100 k x 512 on one thread: 7.7 ms)."""


def choose_layout(vectors: int) -> str:
    """`exact` or `hnsw`, by the number of vectors."""
    return "exact" if vectors < EXACT_BELOW else "hnsw"


class FaissIndex:
    """A FAISS index by inner product over normalised vectors.

    Memory: `exact` keeps 4 bytes a number; `hnsw` 2 bytes a number (float16) and about 8 x m bytes of links a vector.
    Searching is safe from many threads at once.
    """

    def __init__(self, index: faiss.Index, *, ef_search: int) -> None:
        self._index = index
        self._ef_search = ef_search

    @classmethod
    def build(
        cls, vectors: np.ndarray, *, layout: str, m: int = 32, ef_construction: int = 200, ef_search: int = 64
    ) -> "FaissIndex":
        """Index vectors; row i of `vectors` is row i of the index.

        An HNSW graph is built on one thread: FAISS does not promise that parallel insertion gives the same graph twice.

        Args:
            vectors: float32 array of shape (rows, dim), L2-normalised.
            layout: `exact` or `hnsw` (float16 storage).
            m: HNSW links per vector and level.
            ef_construction: HNSW candidates while building.
            ef_search: HNSW candidates while searching.
        """
        if layout not in ("exact", "hnsw"):
            raise LookalikeError(f"`layout={layout}`: must be exact or hnsw")
        dim = vectors.shape[1]
        if layout == "exact":
            index = faiss.IndexFlatIP(dim)
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
            return cls(index, ef_search=ef_search)
        index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_fp16, m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = ef_construction
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            index.train(np.ascontiguousarray(vectors, dtype=np.float32))
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        finally:
            faiss.omp_set_num_threads(threads)
        return cls(index, ef_search=ef_search)

    @classmethod
    def load(cls, path: Path, *, ef_search: int = 64) -> "FaissIndex":
        """Open what `save` wrote."""
        try:
            return cls(faiss.read_index(str(path)), ef_search=ef_search)
        except RuntimeError as error:
            raise BundleError(f"{path}: not a readable FAISS index ({str(error).splitlines()[-1]})") from None

    def save(self, path: Path) -> None:
        """Write the index to one file."""
        faiss.write_index(self._index, str(path))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self._index.d)

    @property
    def layout(self) -> str:
        """`exact` or `hnsw`."""
        return "hnsw" if isinstance(self._index, faiss.IndexHNSW) else "exact"

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`.

        With a filter, the rows that pass are scanned, or the graph is searched further and what does not pass is
        dropped, whichever costs less (`filter_plan`).
        """
        k_found = min(k, len(self))
        if vectors.shape[1] != self.dim:
            raise LookalikeError(f"query vectors have {vectors.shape[1]} numbers, the index has {self.dim}")
        if allowed is not None and allowed.shape != (len(self),):
            raise LookalikeError(f"`allowed` has shape {allowed.shape}, the index has {len(self)} rows")
        if k_found == 0 or (allowed is not None and not allowed.any()):
            return _padded(np.empty((len(vectors), 0), np.float32), np.empty((len(vectors), 0), np.int64), k)
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        if allowed is None:
            scores, rows = self._nearest(queries, k_found)
        elif self.layout == "exact":
            scores, rows = scan_allowed(self._index, queries, k_found, allowed)
        else:
            storage = faiss.downcast_index(self._index.storage)
            scores, rows = filtered_search(
                queries,
                k_found,
                allowed,
                graph=self._nearest,
                scan=lambda some, count: scan_allowed(storage, some, count, allowed),
                ef_search=self._ef_search,
            )
        return _padded(np.where(rows >= 0, scores, -np.inf).astype(np.float32), rows, k)

    def _nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.layout == "exact":
            return self._index.search(queries, k)
        # Fresh parameters have efSearch 16; and efSearch below k would find fewer than k rows.
        return self._index.search(queries, k, params=faiss.SearchParametersHNSW(efSearch=max(self._ef_search, k)))

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The stored vectors of some rows.

        Args:
            rows: int64 array of shape (n,).

        Returns:
            float32 array of shape (n, dim), L2-normalised (to float16 precision with `hnsw`).
        """
        index = faiss.downcast_index(self._index.storage) if self.layout == "hnsw" else self._index
        stored: np.ndarray = index.reconstruct_batch(np.ascontiguousarray(rows, dtype=np.int64))
        stored /= np.linalg.norm(stored, axis=1, keepdims=True)
        return stored


def _padded(scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    if rows.shape[1] == k:
        return scores, rows
    all_scores = np.full((len(rows), k), -np.inf, np.float32)
    all_rows = np.full((len(rows), k), -1, np.int64)
    all_scores[:, : rows.shape[1]], all_rows[:, : rows.shape[1]] = scores, rows
    return all_scores, all_rows
