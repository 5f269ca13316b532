"""The ranks of each query's positives and its best results, from which all retrieval metrics follow.

Ranks are pessimistic: a negative whose cosine is no more than 1e-6 (about the resolution of float32) below a positive's
ranks before it, so that constant embeddings score like the worst case and not by chance. Among negatives that tie the
lower grade comes first.

FAISS finds each query's nearest rows. Where they do not decide a query's metrics, the query is searched again with more
rows, and at last with all of them. Where only the first positive's rank is open, the scores above it are counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.eval.gallery_search import EPSILON, GallerySearch
from src.eval.protocol import Protocol
from src.eval.relevance import NULL, Codes, Relevance, column_codes, make_entries

__all__ = ["MEMORY_MB", "NEVER", "Ranking", "iterate_rankings", "join_rankings", "rank_positives"]

MEMORY_MB = 256
"""Default of the working memory beyond the vectors, in MiB."""

NEVER = np.iinfo(np.int64).max
"""Fills the ranks of queries that have fewer positives than others."""

_FEWEST = 20
"""Fewest rows that FAISS returns: more cost little, and save queries a second pass."""
_MORE = 8
_MOST_QUERIES = 8192
_BYTES_A_CANDIDATE = 200
_LOW = -4.0
"""Below every cosine, and finite."""


@dataclass(frozen=True)
class Ranking:
    """What searching a gallery with some queries gave.

    Attributes:
        ranks: int64 of shape (queries, width), ascending from 1, filled with `NEVER`: the first positive's rank is
            exact, and so are all up to the larger of the query's positives and the protocol's depth; a positive beyond
            that may be missing.
        positives: int64 of shape (queries,): relevant items (or images) in the gallery, without the query's own image.
        top_rows: int64 of shape (queries, depth): gallery rows of the best results, best first, filled with -1.
        top_scores: float32 of the same shape: their cosines, filled with -inf.
        top_grades: int8 of the same shape: their grades, filled with 0.
        levels: int64 of shape (levels,): the grades that results can have, ascending, without 0.
        level_counts: int64 of shape (queries, levels): items (or images) of each of these grades in the gallery.
    """

    ranks: np.ndarray
    positives: np.ndarray
    top_rows: np.ndarray
    top_scores: np.ndarray
    top_grades: np.ndarray
    levels: np.ndarray
    level_counts: np.ndarray


def rank_positives(
    queries: Embedded,
    gallery: Embedded,
    protocol: Protocol = Protocol(),  # noqa: B008  # frozen
    *,
    memory_mb: int = MEMORY_MB,
) -> Ranking:
    """What `iterate_rankings` gives, joined. Its `ranks` are as wide as the most positives of a query."""
    return join_rankings(list(iterate_rankings(queries, gallery, protocol, memory_mb=memory_mb)))


def join_rankings(parts: list[Ranking]) -> Ranking:
    """Rankings of consecutive queries as one."""
    width = max(part.ranks.shape[1] for part in parts)
    ranks = [np.pad(part.ranks, ((0, 0), (0, width - part.ranks.shape[1])), constant_values=NEVER) for part in parts]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("positives", "top_rows", "top_scores", "top_grades", "level_counts")
    }
    return Ranking(ranks=np.concatenate(ranks), levels=parts[0].levels, **joined)


def iterate_rankings(
    queries: Embedded, gallery: Embedded, protocol: Protocol, *, memory_mb: int = MEMORY_MB
) -> Iterator[Ranking]:
    """Search the gallery with each query and rank the relevant entries, some queries at a time.

    A result is relevant if it is of the query's item. A query never finds its own image: it is removed by its id.

    Args:
        queries: the query images.
        gallery: the gallery images.
        protocol: what is ranked, and what is left out.
        memory_mb: working memory in MiB beyond the vectors and what is returned. Vectors that are not of norm 1 take
            a copy of their own, and so do the means of `aggregate=mean`.

    Raises:
        LookalikeError: no query or no gallery image, different dimensions, or embeddings that have no cosine.
    """
    if not len(queries) or not len(gallery):
        raise LookalikeError(f"{len(queries)} queries and {len(gallery)} gallery images: both must be there")
    if queries.vectors.shape[1] != gallery.vectors.shape[1]:
        raise LookalikeError(
            f"query embeddings have dimension {queries.vectors.shape[1]} and gallery embeddings "
            f"{gallery.vectors.shape[1]}: they are not of one encoder"
        )
    ranker = _Ranker(queries, gallery, protocol, memory_mb * 2**20)
    start = 0
    while start < len(queries):
        rows = np.arange(start, min(start + ranker.chunk, len(queries)))
        yield ranker.rank(rows)
        start += len(rows)


class _Ranker:
    """Ranks one gallery for some queries at a time."""

    def __init__(self, queries: Embedded, gallery: Embedded, protocol: Protocol, memory: int) -> None:
        vectors = queries.normalised("queries")
        shared = queries.vectors is gallery.vectors
        gallery_vectors = vectors if shared else gallery.normalised("gallery")
        items = column_codes(queries, gallery, "item_id")
        assert items is not None
        entries = make_entries(gallery_vectors, items[1], level=protocol.level, aggregate=protocol.aggregate)
        row_of = {image: row for row, image in enumerate(gallery.image_ids)}
        own = np.array([row_of.get(image, -1) for image in queries.image_ids], dtype=np.int64)
        excluded = _excluded(queries, gallery, protocol.exclude)
        self._relevance = Relevance(queries, gallery, entries, grades=protocol.grades, own=own, excluded=excluded)
        self._search = GallerySearch(vectors, entries, self._relevance, own=own, excluded=excluded)
        self._entries, self._depth, self._memory = entries, protocol.depth, memory
        # Ranks up to here decide the metrics.
        self._horizon = np.maximum(self._relevance.positives, self._depth)
        hidden = 1 if excluded is None else 1 + int(np.bincount(excluded[1][excluded[1] != NULL]).max(initial=0))
        images = len(entries.of_row) / entries.count
        wanted = int(self._horizon.max() * (images if images == 1 else 2 * images)) + hidden + 4
        self._first_k = self._affordable(max(_FEWEST, wanted))
        self.chunk = self._queries_at_once(self._first_k)

    def rank(self, rows: np.ndarray) -> Ranking:
        """Ranks and results of some queries."""
        relevance = self._relevance
        positives = relevance.positives[rows]
        shape = len(rows), self._depth
        ranking = Ranking(
            np.full((len(rows), max(1, int(positives.max()))), NEVER),
            positives,
            np.full(shape, -1),
            np.full(shape, -np.inf, np.float32),
            np.zeros(shape, np.int8),
            relevance.levels,
            relevance.counts[rows],
        )
        left, k = np.arange(len(rows)), self._first_k
        while len(left):
            again = []
            step = self._queries_at_once(k)
            for start in range(0, len(left), step):
                part = left[start : start + step]
                certain = self._fill_in(ranking, part, rows[part], k)
                again.append(part[certain < self._horizon[rows[part]]])
            left = np.concatenate(again) if k < len(self._entries.of_row) else left[:0]
            k = self._affordable(k * _MORE)
        unranked = np.flatnonzero((positives > 0) & (ranking.ranks[:, 0] == NEVER))
        step = max(1, self._memory // self._search.bytes_a_query)
        for start in range(0, len(unranked), step):
            part = unranked[start : start + step]
            ranking.ranks[part, 0] = self._search.first_ranks(rows[part])
        return ranking

    def _affordable(self, k: int) -> int:
        """k, or all rows beyond a quarter of the gallery, where sorting all scores is simpler."""
        return k if k < len(self._entries.of_row) / 4 else len(self._entries.of_row)

    def _queries_at_once(self, k: int) -> int:
        return max(1, min(_MOST_QUERIES, self._memory // (k * _BYTES_A_CANDIDATE)))

    def _fill_in(self, ranking: Ranking, places: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
        """Fill in lines of a ranking from the best k rows of the gallery.

        Returns:
            How many entries of each query are certain, see `_Order`: int64 of shape (queries,).
        """
        found = self._search.best(queries, k)
        entries = self._entries.of_row[found.rows]
        query_column = queries[:, None]
        grades = self._relevance.grade(query_column, entries)
        relevant = self._relevance.relevant(query_column, entries)
        width = ranking.ranks.shape[1]
        order = _order(found.scores, found.allowed, relevant, grades, found.floor, width=width, depth=self._depth)
        ranking.ranks[places] = order.ranks
        there, top = order.top >= 0, np.maximum(order.top, 0)
        images = self._search.images(query_column, np.take_along_axis(found.rows, top, axis=1))
        ranking.top_rows[places] = np.where(there, images, -1)
        ranking.top_scores[places] = np.where(there, np.take_along_axis(found.scores, top, axis=1), -np.inf)
        ranking.top_grades[places] = np.where(there, np.take_along_axis(grades, top, axis=1), 0)
        return order.certain


@dataclass(frozen=True)
class _Order:
    """The pessimistic order of some candidates.

    Attributes:
        ranks: int64 of shape (queries, width), ascending from 1, filled with `NEVER`: of the positives whose rank no
            row that isn't a candidate can change.
        top: int64 of shape (queries, depth): columns of the best results, filled with -1.
        certain: int64 of shape (queries,): entries that rank before all rows that aren't candidates.
    """

    ranks: np.ndarray
    top: np.ndarray
    certain: np.ndarray


def _order(
    scores: np.ndarray,
    counted: np.ndarray,
    relevant: np.ndarray,
    grades: np.ndarray,
    floor: np.ndarray,
    *,
    width: int,
    depth: int,
) -> _Order:
    """Order candidates: a positive ranks behind every negative that scores as high, ties included.

    Among negatives that tie the lower grade comes first.

    Args:
        scores: float32 of shape (queries, k), descending.
        counted: bool of that shape: one candidate an entry, none that the query must not find.
        relevant: bool of that shape: candidates of the query's item.
        grades: int8 of that shape.
        floor: float64 of shape (queries,): no row that isn't a candidate scores higher; -inf where there is none.
        width: columns of `ranks`.
        depth: columns of `top`.
    """
    size = len(scores)
    exact = np.maximum(scores.astype(np.float64), _LOW)
    certain = counted & (exact > floor[:, None] + 2 * EPSILON)
    positive, negative = counted & relevant, counted & ~relevant
    row, column = np.nonzero(positive)
    # One ascending list of all rows' scores, by which the candidates that score as high as a positive are counted.
    ascending = (np.arange(size)[:, None] * 16 - exact).ravel()
    as_high = (
        np.searchsorted(ascending, row * 16 - (exact[row, column] - EPSILON), side="right") - row * scores.shape[1]
    )
    negatives_before = np.cumsum(negative, axis=1)[row, as_high - 1]
    place = np.cumsum(positive, axis=1)[row, column]

    ranks = np.full((size, width), NEVER)
    known = certain[row, column]
    ranks[row[known], place[known] - 1] = (negatives_before + place)[known]

    # Negatives get 0, 1, 2, ... in their order, a positive with n of them before it n - 0.5.
    lowered = exact - EPSILON * grades / max(1, int(grades.max(initial=1)))
    order = np.argsort(np.where(negative, -lowered, np.inf), axis=1, kind="stable")
    position = np.full(scores.shape, np.inf)
    np.put_along_axis(position, order, np.broadcast_to(np.arange(scores.shape[1], dtype=float), scores.shape), axis=1)
    position[~negative] = np.inf
    position[row, column] = negatives_before - 0.5
    order = np.argsort(position, axis=1, kind="stable")[:, :depth]
    top = np.where(np.take_along_axis(counted, order, axis=1), order, -1)
    top = np.pad(top, ((0, 0), (0, depth - top.shape[1])), constant_values=-1)
    count = np.where(floor > -np.inf, np.count_nonzero(certain, axis=1), NEVER)
    return _Order(ranks, top, count)


def _excluded(queries: Embedded, gallery: Embedded, column: str | None) -> Codes | None:
    if column is None:
        return None
    codes = column_codes(queries, gallery, column)
    if codes is None:
        raise LookalikeError(f"`exclude={column}`: queries or gallery have no such column, or nothing in it")
    return codes
