"""Scores of queries against a gallery, without what a query must not find."""

import numpy as np

from src.eval.codes import NULL
from src.eval.order import EPSILON
from src.eval.relevance import Relevance
from src.eval.units import Units, directions

__all__ = ["Scan"]


_TILE = 8192
_PAIRS = 8192


class Scan:
    """Scores some queries against rows of a gallery.

    A query must not find its own image, nor gallery images of its sequence. Where rows are means of items, the mean of
    the item that holds the query's own image is taken without it.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        units: Units,
        relevance: Relevance,
        *,
        own: np.ndarray,
        sequences: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:
        self._vectors, self._units, self._relevance = vectors, units, relevance
        self._own, self._sequences = own, sequences
        self._place = np.empty(len(units.of_row), np.int64)
        self._place[units.rows_by_unit] = np.arange(len(units.of_row))
        self._by_item = np.argsort(relevance.items[1], kind="stable")
        self._items = relevance.items[1][self._by_item]

    @property
    def bytes_a_query(self) -> int:
        """Working memory of `first_ranks`, for each query."""
        return 12 * max(_TILE, int(np.diff(self._units.row_starts).max()))

    def visible(
        self, queries: np.ndarray, scores: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mark what a list of results must not hold.

        Args:
            queries: int64 of shape (queries,).
            scores: float32 of shape (queries, k), descending.
            rows: int64 of the same shape.

        Returns:
            Scores, rows, and whether a query may find them (bool). Where rows are means there is one column more.
        """
        if self._units.sums is not None:
            corrected, unit = self._corrected(queries)
            allowed = np.c_[self._allowed(queries[:, None], rows), corrected > -np.inf]
            scores, rows = np.c_[scores, corrected], np.c_[rows, unit]
            order = np.argsort(-scores, axis=1, kind="stable")
            scores, rows, allowed = (np.take_along_axis(values, order, axis=1) for values in (scores, rows, allowed))
            return scores, rows, allowed
        return scores, rows, self._allowed(queries[:, None], rows)

    def scores(self, queries: np.ndarray, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Scores of `rows_by_unit[start:stop]`: float32 of shape (queries, stop - start), -inf for what is hidden."""
        rows = self._units.rows_by_unit[start:stop]
        in_order = rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
        vectors = self._units.vectors[rows[0] : rows[-1] + 1] if in_order else self._units.vectors[rows]
        scores: np.ndarray = self._vectors[queries] @ vectors.T
        if self._units.sums is not None:
            corrected, unit = self._corrected(queries)
            at = self._place[np.maximum(unit, 0)] - start
            here = np.flatnonzero((unit >= 0) & (at >= 0) & (at < len(rows)))
            scores[here, at[here]] = corrected[here]
            return scores
        own = self._own[queries]
        at = self._place[np.maximum(own, 0)] - start
        here = np.flatnonzero((own >= 0) & (at >= 0) & (at < len(rows)))
        scores[here, at[here]] = -np.inf
        if self._sequences is not None:
            asked = self._sequences[0][queries, None]
            scores[(self._sequences[1][rows] == asked) & (asked != NULL)] = -np.inf
        return scores

    def first_ranks(self, queries: np.ndarray) -> np.ndarray:
        """The rank of each query's first positive, by counting the units that score as high: int64 of their shape."""
        best, asking, units = self._best_positives(queries)
        threshold = (best - EPSILON)[:, None]
        ahead = np.zeros(len(queries), np.int64)
        starts = self._units.row_starts
        start = 0
        while start < self._units.count:
            stop = max(start + 1, int(np.searchsorted(starts, starts[start] + _TILE, side="right")) - 1)
            scores = self.scores(queries, int(starts[start]), int(starts[stop]))
            if scores.shape[1] > stop - start:
                scores = np.maximum.reduceat(scores, starts[start:stop] - starts[start], axis=1)
            here = (units >= start) & (units < stop)
            scores[asking[here], units[here] - start] = -np.inf
            ahead += np.count_nonzero(scores >= threshold, axis=1)
            start = stop
        return ahead + 1

    def images(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The gallery images that stand for rows: themselves, or a mean's first that isn't the query's own."""
        if self._units.sums is None:
            return rows
        first = self._units.image_starts[rows]
        images = self._units.images_by_unit[first]
        own = images == self._own[queries]
        second = np.minimum(first + 1, len(self._units.images_by_unit) - 1)
        return np.where(own, self._units.images_by_unit[second], images)

    def _best_positives(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best positive's score of each query, float64; and pairs of query and unit that are of one item."""
        items = self._relevance.items[0][queries]
        first, last = (np.searchsorted(self._items, items, side=side) for side in ("left", "right"))
        asking, at = _ranges(first, last)
        units = self._by_item[at]
        best = np.full(len(queries), -np.inf)
        pair, place = _ranges(self._units.row_starts[units], self._units.row_starts[units + 1])
        rows, pair = self._units.rows_by_unit[place], asking[pair]
        for start in range(0, len(rows), _PAIRS):
            part = slice(start, start + _PAIRS)
            scores = np.einsum("ij,ij->i", self._vectors[queries[pair[part]]], self._units.vectors[rows[part]])
            allowed = self._allowed(queries[pair[part]], rows[part])
            np.maximum.at(best, pair[part][allowed], scores[allowed])
        if self._units.sums is not None:
            corrected, unit = self._corrected(queries)
            mine = (unit >= 0) & self._relevance.relevant(queries, np.maximum(unit, 0))
            best = np.where(mine, np.maximum(best, corrected), best)
        return best, asking, units

    def _allowed(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Whether queries may find rows as they are."""
        if self._units.sums is not None:
            own = self._own[queries]
            allowed: np.ndarray = (own < 0) | (self._units.of_image[own] != rows)
            return allowed
        allowed = rows != self._own[queries]
        if self._sequences is not None:
            asked = self._sequences[0][queries]
            allowed &= (self._sequences[1][rows] != asked) | (asked == NULL)
        return allowed

    def _corrected(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the items that hold the queries' own images, without them (-inf if nothing is left); and the items.

        The item is -1 for a query that is no gallery image.
        """
        assert self._units.sums is not None
        own = self._own[queries]
        unit = np.where(own >= 0, self._units.of_image[own], -1)
        rest = directions(self._units.sums[unit] - self._units.image_vectors[own])
        scores = np.einsum("ij,ij->i", self._vectors[queries], rest)
        left = (unit >= 0) & (self._units.images[unit] > 1)
        return np.where(left, scores, -np.inf).astype(np.float32), unit


def _ranges(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of some ranges [first, last), and which range each is of."""
    sizes = last - first
    which = np.repeat(np.arange(len(first)), sizes)
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return which, np.arange(len(which)) - before + np.repeat(first, sizes)
