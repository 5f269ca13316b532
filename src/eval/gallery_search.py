"""Scores of queries against the rows of a gallery, without what a query must not find."""

from functools import cache
from typing import Any, NamedTuple

import faiss
import numpy as np

from src.eval.relevance import NULL, Codes, Entries, Relevance, directions

__all__ = ["EPSILON", "Candidates", "GallerySearch", "nearest"]

EPSILON = 1e-6
"""Cosines that differ by no more than this are ties."""

_TILE = 8192
_PAIRS = 8192
_MOST_ON_GPU = 2048
"""Neighbours that FAISS finds on a GPU at most."""


class Candidates(NamedTuple):
    """The best rows of each query, best first.

    Attributes:
        scores: float32 of shape (queries, candidates), descending.
        rows: int64 of the same shape.
        allowed: bool of the same shape: the query may find the row, and it is the first of its entry.
        floor: float64 of shape (queries,): no row that is not a candidate scores higher; -inf where there is none.
    """

    scores: np.ndarray
    rows: np.ndarray
    allowed: np.ndarray
    floor: np.ndarray


class GallerySearch:
    """Searches a gallery exactly.

    A query must not find its own image, nor gallery images that share its value of the excluded column. Where rows are
    means of items, the mean of the item that holds the query's own image is computed without that image.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        entries: Entries,
        relevance: Relevance,
        *,
        own: np.ndarray,
        excluded: Codes | None,
    ) -> None:
        """Prepare a gallery.

        Args:
            vectors: float32 of shape (queries, dim), norm 1: the queries'.
            entries: of the gallery.
            relevance: of its entries to the queries.
            own: int64 of shape (queries,): the gallery row of the query's own image, -1 where it is not there.
            excluded: codes of the column whose value a result must not share with the query, if there is one.
        """
        self._vectors, self._entries, self._relevance = vectors, entries, relevance
        self._own, self._excluded = own, excluded
        self._position = np.empty(len(entries.of_row), np.int64)
        self._position[entries.rows_by_entry] = np.arange(len(entries.of_row))
        self._by_item = np.argsort(relevance.items[1], kind="stable")
        self._items = relevance.items[1][self._by_item]

    @property
    def bytes_a_query(self) -> int:
        """Working memory of `first_ranks`, for each query."""
        return 12 * max(_TILE, int(np.diff(self._entries.row_starts).max()))

    def best(self, queries: np.ndarray, k: int) -> Candidates:
        """The k best rows of each query: by FAISS, or where k is all of them by sorting all scores.

        Args:
            queries: int64 of shape (queries,): positions of the queries.
            k: rows, hidden ones included. Where rows are means there may be one column more.
        """
        if k == len(self._entries.of_row):
            scores = self._scores(queries)
            order = np.argsort(-scores, axis=1, kind="stable")
            scores = np.take_along_axis(scores, order, axis=1)
            rows, allowed = self._entries.rows_by_entry[order], scores > -np.inf
            floor = np.full(len(queries), -np.inf)
        else:
            scores, rows = nearest(self._vectors[queries], self._entries.vectors, k)
            floor = scores[:, -1].astype(np.float64)
            allowed = self._allowed(queries[:, None], rows)
            if self._entries.sums is not None:
                corrected, entry = self._corrected(queries)
                allowed = np.c_[allowed, corrected > -np.inf]
                scores, rows = np.c_[scores, corrected], np.c_[rows, entry]
                order = np.argsort(-scores, axis=1, kind="stable")
                scores, rows, allowed = (np.take_along_axis(each, order, axis=1) for each in (scores, rows, allowed))
        if self._entries.count < len(self._entries.of_row):
            allowed &= ~_repeated(np.where(allowed, self._entries.of_row[rows], -1))
        return Candidates(scores, rows, allowed, floor)

    def first_ranks(self, queries: np.ndarray) -> np.ndarray:
        """The rank of each query's first positive, by counting the entries that score as high: int64 of their shape."""
        best, pair_queries, entries = self._best_positives(queries)
        threshold = (best - EPSILON)[:, None]
        before = np.zeros(len(queries), np.int64)
        starts = self._entries.row_starts
        start = 0
        while start < self._entries.count:
            stop = max(start + 1, int(np.searchsorted(starts, starts[start] + _TILE, side="right")) - 1)
            scores = self._scores(queries, int(starts[start]), int(starts[stop]))
            if scores.shape[1] > stop - start:
                scores = np.maximum.reduceat(scores, starts[start:stop] - starts[start], axis=1)
            here = (entries >= start) & (entries < stop)
            scores[pair_queries[here], entries[here] - start] = -np.inf
            before += np.count_nonzero(scores >= threshold, axis=1)
            start = stop
        return before + 1

    def images(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The gallery image to show for each row: the image itself, or a mean's first that isn't the query's own."""
        if self._entries.sums is None:
            return rows
        first = self._entries.image_starts[rows]
        images = self._entries.images_by_entry[first]
        own = images == self._own[queries]
        second = np.minimum(first + 1, len(self._entries.images_by_entry) - 1)
        return np.where(own, self._entries.images_by_entry[second], images)

    def _scores(self, queries: np.ndarray, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Scores of `rows_by_entry[start:stop]`: float32 of shape (queries, stop - start), -inf for what is hidden."""
        rows = self._entries.rows_by_entry[start:stop]
        in_order = rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
        vectors = self._entries.vectors[rows[0] : rows[-1] + 1] if in_order else self._entries.vectors[rows]
        scores: np.ndarray = self._vectors[queries] @ vectors.T
        if self._entries.sums is not None:
            corrected, entry = self._corrected(queries)
            at = self._position[np.maximum(entry, 0)] - start
            here = np.flatnonzero((entry >= 0) & (at >= 0) & (at < len(rows)))
            scores[here, at[here]] = corrected[here]
            return scores
        own = self._own[queries]
        at = self._position[np.maximum(own, 0)] - start
        here = np.flatnonzero((own >= 0) & (at >= 0) & (at < len(rows)))
        scores[here, at[here]] = -np.inf
        if self._excluded is not None:
            value = self._excluded[0][queries, None]
            scores[(self._excluded[1][rows] == value) & (value != NULL)] = -np.inf
        return scores

    def _best_positives(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best positive's score of each query, float64; and pairs of query and entry that are of one item."""
        items = self._relevance.items[0][queries]
        first, last = (np.searchsorted(self._items, items, side=side) for side in ("left", "right"))
        pair_queries, at = _ranges(first, last)
        entries = self._by_item[at]
        best = np.full(len(queries), -np.inf)
        pair, position = _ranges(self._entries.row_starts[entries], self._entries.row_starts[entries + 1])
        rows, pair = self._entries.rows_by_entry[position], pair_queries[pair]
        for start in range(0, len(rows), _PAIRS):
            part = slice(start, start + _PAIRS)
            scores = np.einsum("ij,ij->i", self._vectors[queries[pair[part]]], self._entries.vectors[rows[part]])
            allowed = self._allowed(queries[pair[part]], rows[part])
            np.maximum.at(best, pair[part][allowed], scores[allowed])
        if self._entries.sums is not None:
            corrected, entry = self._corrected(queries)
            mine = (entry >= 0) & self._relevance.relevant(queries, np.maximum(entry, 0))
            best = np.where(mine, np.maximum(best, corrected), best)
        return best, pair_queries, entries

    def _allowed(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Whether queries may find rows as they are."""
        if self._entries.sums is not None:
            own = self._own[queries]
            allowed: np.ndarray = (own < 0) | (self._entries.of_image[own] != rows)
            return allowed
        allowed = rows != self._own[queries]
        if self._excluded is not None:
            value = self._excluded[0][queries]
            allowed &= (self._excluded[1][rows] != value) | (value == NULL)
        return allowed

    def _corrected(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the items that hold the queries' own images, without them (-inf if nothing is left); and the items.

        The item is -1 for a query that is no gallery image.
        """
        assert self._entries.sums is not None
        own = self._own[queries]
        entry = np.where(own >= 0, self._entries.of_image[own], -1)
        rest = directions(self._entries.sums[entry] - self._entries.image_vectors[own])
        scores = np.einsum("ij,ij->i", self._vectors[queries], rest)
        left = (entry >= 0) & (self._entries.images[entry] > 1)
        return np.where(left, scores, -np.inf).astype(np.float32), entry


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the gallery with the largest inner product, exactly, by FAISS: on its GPUs where it was built with
    some, else on the CPU. No index is built: the vectors stay where they are.

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
    """A GPU's scratch memory, allocated once."""
    return faiss.StandardGpuResources()


def _ranges(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of some ranges [first, last), and which range each is of."""
    sizes = last - first
    which = np.repeat(np.arange(len(first)), sizes)
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return which, np.arange(len(which)) - before + np.repeat(first, sizes)


def _repeated(entries: np.ndarray) -> np.ndarray:
    """Which elements of each line repeat an entry further left."""
    order = np.argsort(entries, axis=1, kind="stable")
    ordered = np.take_along_axis(entries, order, axis=1)
    again = np.zeros_like(ordered, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.empty_like(again)
    np.put_along_axis(repeated, order, again, axis=1)
    return repeated
