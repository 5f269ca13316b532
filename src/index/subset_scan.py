"""Exact search among some rows of a storage, at the cost of those rows."""

import faiss
import numpy as np

from src.index.search_with import search_with

__all__ = ["scan_allowed"]

_BLOCK = 1024
_WALK_ABOVE = 0.01
"""Share of allowed rows above which asking a bitmap about every row is cheaper than copying the allowed ones out."""


def scan_allowed(
    storage: faiss.Index, queries: np.ndarray, k: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest allowed rows of each query, exactly (as the storage has them: float16 or SQ8 rounded).

    A float32 storage is read at the allowed rows alone. FAISS has no such way into quantised codes: few rows are
    copied out, 1,024 at a time, and scanned there; many are scanned in place, with a bitmap that is asked about
    every row (2 ns each). Either way the memory for one call is 8 bytes an allowed row and at most 1,024 codes.

    Args:
        storage: `IndexFlat` or `IndexScalarQuantizer`, whose row i is vector i.
        queries: float32 array of shape (queries, dim), contiguous.
        k: rows wanted.
        allowed: bool array of shape (rows,).

    Returns:
        Scores, float32 of shape (queries, min(k, allowed rows)), descending, and rows, int64 of the same shape.
    """
    rows = np.flatnonzero(allowed)
    k = min(k, len(rows))
    if k == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    if isinstance(storage, faiss.IndexFlat):
        selector: faiss.IDSelector = faiss.IDSelectorArray(len(rows), faiss.swig_ptr(rows))
        found = search_with(storage, queries, k, faiss.SearchParameters(sel=selector))
    elif len(rows) > _WALK_ABOVE * len(allowed):
        bitmap = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bitmap), faiss.swig_ptr(bitmap))
        found = search_with(storage, queries, k, faiss.SearchParameters(sel=selector))
    else:
        found = _copied(storage, queries, k, rows)
    return found


def _copied(
    storage: faiss.IndexScalarQuantizer, queries: np.ndarray, k: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    codes = faiss.rev_swig_ptr(storage.codes.data(), storage.ntotal * storage.code_size)
    codes = codes.reshape(storage.ntotal, storage.code_size)
    block = faiss.IndexScalarQuantizer(storage.d, storage.sq.qtype, storage.metric_type)
    block.sq, block.is_trained = storage.sq, True
    scores, found = [], []
    for first in range(0, len(rows), _BLOCK):
        here = rows[first : first + _BLOCK]
        block.reset()
        block.add_sa_codes(codes[here])
        block_scores, places = block.search(queries, min(k, len(here)))
        scores.append(block_scores)
        found.append(here[places])
    if len(scores) == 1:
        return scores[0], found[0]
    every_score, every_row = np.concatenate(scores, axis=1), np.concatenate(found, axis=1)
    best = np.argsort(-every_score, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(every_score, best, 1), np.take_along_axis(every_row, best, 1)
