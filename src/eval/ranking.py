"""The ranks that each query's positives reach, from which all retrieval metrics follow.

Ranks are pessimistic: a positive stands behind every negative of the same score, so that constant embeddings score like
the worst case and not like luck. Cosines are compared in steps of 1e-6, about what float32 tells apart.
"""

from dataclasses import dataclass

import numpy as np

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.index.faiss_index import FaissIndex

__all__ = ["NEVER", "Ranking", "rank_positives"]

NEVER = np.iinfo(np.int64).max
"""Fills the ranks of queries that have fewer positives than others."""

_STEPS = 1_000_000
_OUT = -2 * _STEPS
"""Below every cosine: an image that does not take part."""

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Ranking:
    """What searching a gallery with each query gave.

    Attributes:
        ranks: int64 of shape (queries, most positives), ascending from 1, filled with `NEVER`.
        positives: int64 of shape (queries,): relevant items (or images) in the gallery, the query's own image aside.
        top_rows: int64 of shape (queries, depth): gallery rows of the best results, best first, filled with -1.
        top_scores: float32 of the same shape: their cosines.
    """

    ranks: np.ndarray
    positives: np.ndarray
    top_rows: np.ndarray
    top_scores: np.ndarray


def rank_positives(queries: Embedded, gallery: Embedded, *, level: str = "item", depth: int = 10) -> Ranking:
    """Search the gallery with each query and rank what is relevant.

    A result is relevant if it is of the query's item. A query never finds its own image: it is taken out by its id.
    FAISS finds the nearest images; only queries whose positives are not all among them are scored against the whole
    gallery, in chunks, so memory stays within about 64 MiB beyond the vectors.

    Args:
        queries: the images that ask.
        gallery: the images that are searched.
        level: `item` ranks items by their best image; `image` ranks images.
        depth: results kept in `top_rows`.

    Raises:
        LookalikeError: no query or no gallery image, different dimensions, or embeddings that have no cosine.
    """
    if not len(queries) or not len(gallery):
        raise LookalikeError(f"{len(queries)} queries and {len(gallery)} gallery images: both must be there")
    if queries.vectors.shape[1] != gallery.vectors.shape[1]:
        raise LookalikeError(
            f"queries have {queries.vectors.shape[1]} numbers and gallery images {gallery.vectors.shape[1]}: "
            "they are not of one encoder"
        )
    search = _Search(queries, gallery, level, depth)
    chunk = max(1, _CHUNK_BYTES // (search.images * 64))
    parts = [
        search.ranks_of(np.arange(start, min(start + chunk, len(queries)))) for start in range(0, len(queries), chunk)
    ]
    return Ranking(
        np.concatenate([ranks for ranks, _, _ in parts]),
        search.positives,
        np.concatenate([rows for _, rows, _ in parts]),
        np.concatenate([scores for _, _, scores in parts]),
    )


class _Search:
    """One gallery, prepared: codes instead of ids, and an exact index."""

    def __init__(self, queries: Embedded, gallery: Embedded, level: str, depth: int) -> None:
        self._query_vectors = queries.normalised("queries")
        self._gallery_vectors = gallery.normalised("gallery")
        _, codes = np.unique(np.concatenate([queries.item_ids, gallery.item_ids]).astype(str), return_inverse=True)
        self._query_items, self._gallery_items = codes[: len(queries)], codes[len(queries) :]
        row_of = {image: row for row, image in enumerate(gallery.image_ids)}
        self._own = np.array([row_of.get(image, -1) for image in queries.image_ids], dtype=np.int64)
        self._units = self._gallery_items if level == "item" else np.arange(len(gallery))
        self._index = FaissIndex.build(self._gallery_vectors, layout="exact")
        self._depth = depth
        self.positives = self._count_positives(level)
        self.width = max(1, int(self.positives.max()))
        self._by_unit = np.argsort(self._units, kind="stable")
        ordered = self._units[self._by_unit]
        self._unit_starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._unit_items = self._gallery_items[self._by_unit[self._unit_starts]]
        # A score takes about 40 bytes on its way through `_scan`.
        self.scanned = max(1, _CHUNK_BYTES // (len(gallery) * 40))
        # Enough images to hold `depth` units and the query's own image, whatever units they come from.
        largest = np.sort(np.bincount(np.unique(self._units, return_inverse=True)[1]))[::-1]
        self.images = min(len(gallery), max(128, 2 * self.width, int(largest[: depth - 1].sum()) + 2))

    def _count_positives(self, level: str) -> np.ndarray:
        sizes = np.bincount(self._gallery_items, minlength=int(self._query_items.max()) + 1)
        own = (self._own >= 0) & (self._gallery_items[self._own] == self._query_items)
        images = sizes[self._query_items] - own
        return np.minimum(images, 1) if level == "item" else images

    def ranks_of(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ranks, top rows and top scores of some queries."""
        scores, rows = self._index.search(self._query_vectors[chunk], self.images)
        steps = np.rint(scores * _STEPS).astype(np.int64)
        units = self._units[rows]
        valid = (rows != self._own[chunk, None]) & ~_repeated(units, rows == self._own[chunk, None])
        relevant = valid & (self._gallery_items[rows] == self._query_items[chunk, None])
        ranks = _ranks(steps, valid, relevant, self.width)
        # Below the last score that came back, other images of the same score may wait.
        certain = (steps > steps[:, -1:]) | (rows.shape[1] == len(self._units))
        incomplete = (relevant & certain).sum(axis=1) < self.positives[chunk]
        left = np.flatnonzero(incomplete)
        for start in range(0, len(left), self.scanned):
            part = left[start : start + self.scanned]
            ranks[part] = self._scan(chunk[part])
        top_rows, top_scores = self._top(steps, scores, rows, valid, relevant)
        return ranks, top_rows, top_scores

    def _scan(self, queries: np.ndarray) -> np.ndarray:
        """Ranks of some queries' positives among all of the gallery."""
        steps = np.rint(self._query_vectors[queries] @ self._gallery_vectors.T * _STEPS).astype(np.int32)
        with_own = np.flatnonzero(self._own[queries] >= 0)
        steps[with_own, self._own[queries[with_own]]] = _OUT
        steps = np.maximum.reduceat(steps[:, self._by_unit], self._unit_starts, axis=1)
        relevant = self._unit_items == self._query_items[queries, None]
        negatives = np.where(relevant, _OUT, steps)
        # Negated, so that sorting puts the best first; absent ones end up last.
        best = np.partition(np.where(relevant, -steps, -_OUT), self.width - 1, axis=1)[:, : self.width]
        best = -np.sort(best, axis=1)
        ranks = np.full((len(queries), self.width), NEVER)
        for place in range(self.width):
            ahead = np.count_nonzero(negatives >= best[:, place, None], axis=1)
            ranks[:, place] = np.where(best[:, place] > _OUT, ahead + place + 1, NEVER)
        return ranks

    def _top(
        self, steps: np.ndarray, scores: np.ndarray, rows: np.ndarray, valid: np.ndarray, relevant: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best units' rows and scores; of equal scores the irrelevant come first, as in the ranks."""
        order = np.argsort(np.where(valid, -2 * steps + relevant, NEVER), axis=1, kind="stable")[:, : self._depth]
        kept = np.take_along_axis(valid, order, axis=1)
        top_rows = np.where(kept, np.take_along_axis(rows, order, axis=1), -1)
        top_scores = np.where(kept, np.take_along_axis(scores, order, axis=1), -np.inf).astype(np.float32)
        missing = ((0, 0), (0, self._depth - order.shape[1]))
        return (
            np.pad(top_rows, missing, constant_values=-1),
            np.pad(top_scores, missing, constant_values=-np.inf),
        )


def _repeated(units: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Which entries of each row stand for a unit that stood there before (the query's own image does not count)."""
    units = np.where(own, -1, units)
    order = np.argsort(units, axis=1, kind="stable")
    ordered = np.take_along_axis(units, order, axis=1)
    again = np.zeros_like(ordered, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.empty_like(again)
    np.put_along_axis(repeated, order, again, axis=1)
    return repeated


def _ranks(steps: np.ndarray, valid: np.ndarray, relevant: np.ndarray, width: int) -> np.ndarray:
    """Pessimistic ranks of the relevant entries of rows that are sorted by descending score.

    Args:
        steps: int64 scores of shape (queries, entries).
        valid: entries that count.
        relevant: valid entries that are positives.
        width: columns of the result.

    Returns:
        int64 of shape (queries, width), ascending, filled with `NEVER`.
    """
    negatives = np.cumsum(valid & ~relevant, axis=1)
    # The last column of each run of equal scores: all negatives up to there come first.
    last = np.full(steps.shape, steps.shape[1] - 1)
    last[:, :-1] = np.where(steps[:, :-1] != steps[:, 1:], np.arange(steps.shape[1] - 1), steps.shape[1] - 1)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    ranks = np.take_along_axis(negatives, last, axis=1) + np.cumsum(relevant, axis=1)
    filled = np.sort(np.where(relevant, ranks, NEVER), axis=1)[:, :width]
    return np.pad(filled, ((0, 0), (0, width - filled.shape[1])), constant_values=NEVER)
