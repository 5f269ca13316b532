"""The ranks that each query's positives reach and the best results, from which all retrieval metrics follow.

Ranks are pessimistic: a negative whose cosine is no more than 1e-6 (about what float32 tells apart) below a positive's
stands before it, so that constant embeddings score like the worst case and not like luck. Among negatives as near as
that the lower grade comes first.

FAISS finds each query's nearest rows. A query whose answer does not follow from them is asked again with more of them,
and at last ordered by all of its scores. Where only the first positive's rank is open, the scores above it are counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from src.contracts.errors import LookalikeError
from src.eval.codes import NULL, column_codes
from src.eval.embedded import Embedded
from src.eval.nearest import nearest
from src.eval.order import NEVER, order_candidates
from src.eval.protocol import Protocol
from src.eval.relevance import Relevance
from src.eval.scan import Scan
from src.eval.units import make_units

__all__ = ["MEMORY_MB", "NEVER", "Ranking", "iterate_rankings", "join_rankings", "rank_positives"]

MEMORY_MB = 256
"""Working memory beyond the vectors, unless told otherwise."""

_FEWEST = 20
"""Rows asked of FAISS at least: more cost little, and spare queries a second pass."""
_MORE = 8
_MOST_QUERIES = 8192
_BYTES_A_CANDIDATE = 200


@dataclass(frozen=True)
class Ranking:
    """What searching a gallery with some queries gave.

    Attributes:
        ranks: int64 of shape (queries, width), ascending from 1, filled with `NEVER`: the first positive's rank is
            exact, and so are all up to the larger of the query's positives and the protocol's depth; a positive beyond
            that may be missing.
        positives: int64 of shape (queries,): relevant items (or images) in the gallery, the query's own image aside.
        top_rows: int64 of shape (queries, depth): gallery rows of the best results, best first, filled with -1.
        top_scores: float32 of the same shape: their cosines, filled with -inf.
        top_grades: int8 of the same shape: their grades, filled with 0.
        levels: int64 of shape (levels,): the grades that results can have, ascending, 0 aside.
        level_counts: int64 of shape (queries, levels): what there is to be found of each.
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
    """Search the gallery with each query and rank what is relevant, some queries at a time.

    A result is relevant if it is of the query's item. A query never finds its own image: it is taken out by its id.

    Args:
        queries: the images that ask.
        gallery: the images that are searched.
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
            f"queries have {queries.vectors.shape[1]} numbers and gallery images {gallery.vectors.shape[1]}: "
            "they are not of one encoder"
        )
    search = _Search(queries, gallery, protocol, memory_mb * 2**20)
    start = 0
    while start < len(queries):
        rows = np.arange(start, min(start + search.chunk, len(queries)))
        yield search.rank(rows)
        start += len(rows)


class _Search:
    """One gallery, prepared."""

    def __init__(self, queries: Embedded, gallery: Embedded, protocol: Protocol, memory: int) -> None:
        self._vectors = queries.normalised("queries")
        shared = queries.vectors is gallery.vectors
        gallery_vectors = self._vectors if shared else gallery.normalised("gallery")
        items = column_codes(queries, gallery, "item_id")
        assert items is not None
        units = make_units(gallery_vectors, items[1], level=protocol.level, aggregate=protocol.aggregate)
        row_of = {image: row for row, image in enumerate(gallery.image_ids)}
        own = np.array([row_of.get(image, -1) for image in queries.image_ids], dtype=np.int64)
        sequences = _sequences(queries, gallery, protocol.exclude)
        self._relevance = Relevance(queries, gallery, units, grades=protocol.grades, own=own, sequences=sequences)
        self._scan = Scan(self._vectors, units, self._relevance, own=own, sequences=sequences)
        self._units, self._depth, self._memory = units, protocol.depth, memory
        # Ranks up to here decide the metrics.
        self._horizon = np.maximum(self._relevance.positives, self._depth)
        hidden = 1 if sequences is None else 1 + int(np.bincount(sequences[1][sequences[1] != NULL]).max(initial=0))
        images = len(units.of_row) / units.count
        wanted = int(self._horizon.max() * (images if images == 1 else 2 * images)) + hidden + 4
        self._first_k = self._affordable(max(_FEWEST, wanted))
        self.chunk = self._queries_at_once(self._first_k)

    def rank(self, rows: np.ndarray) -> Ranking:
        """Ranks and results of some queries."""
        relevance = self._relevance
        positives = relevance.positives[rows]
        shape = len(rows), self._depth
        answer = Ranking(
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
                certain = self._answer(rows[part], k, answer, part)
                again.append(part[certain < self._horizon[rows[part]]])
            left = np.concatenate(again) if k < len(self._units.of_row) else left[:0]
            k = self._affordable(k * _MORE)
        unranked = np.flatnonzero((positives > 0) & (answer.ranks[:, 0] == NEVER))
        step = max(1, self._memory // self._scan.bytes_a_query)
        for start in range(0, len(unranked), step):
            part = unranked[start : start + step]
            answer.ranks[part, 0] = self._scan.first_ranks(rows[part])
        return answer

    def _affordable(self, k: int) -> int:
        """Beyond a quarter of the gallery, ordering all of it is the simpler thing."""
        return k if k < len(self._units.of_row) / 4 else len(self._units.of_row)

    def _queries_at_once(self, k: int) -> int:
        return max(1, min(_MOST_QUERIES, self._memory // (k * _BYTES_A_CANDIDATE)))

    def _answer(self, rows: np.ndarray, k: int, answer: Ranking, places: np.ndarray) -> np.ndarray:
        """Fill in what follows from the best k rows of the gallery; how many units of each query are certain."""
        scores, found, allowed, floor = self._nearest(rows, k)
        units = self._units.of_row[found]
        if self._units.count < len(self._units.of_row):
            allowed &= ~_repeated(np.where(allowed, units, -1))
        asking = rows[:, None]
        grades = self._relevance.grade(asking, units)
        relevant = self._relevance.relevant(asking, units)
        width = answer.ranks.shape[1]
        ordered = order_candidates(scores, allowed, relevant, grades, floor, width=width, depth=self._depth)
        answer.ranks[places] = ordered.ranks
        there, top = ordered.top >= 0, np.maximum(ordered.top, 0)
        images = self._scan.images(asking, np.take_along_axis(found, top, axis=1))
        answer.top_rows[places] = np.where(there, images, -1)
        answer.top_scores[places] = np.where(there, np.take_along_axis(scores, top, axis=1), -np.inf)
        answer.top_grades[places] = np.where(there, np.take_along_axis(grades, top, axis=1), 0)
        return ordered.certain

    def _nearest(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Scores, rows, which of them count, and what the rest scores at most."""
        if k == len(self._units.of_row):
            scores = self._scan.scores(rows)
            order = np.argsort(-scores, axis=1, kind="stable")
            scores = np.take_along_axis(scores, order, axis=1)
            return scores, self._units.rows_by_unit[order], scores > -np.inf, np.full(len(rows), -np.inf)
        scores, found = nearest(self._vectors[rows], self._units.vectors, k)
        floor = scores[:, -1].astype(np.float64)
        return *self._scan.visible(rows, scores, found), floor


def _repeated(units: np.ndarray) -> np.ndarray:
    """Which entries of each row stand for a unit that stood there before."""
    order = np.argsort(units, axis=1, kind="stable")
    ordered = np.take_along_axis(units, order, axis=1)
    again = np.zeros_like(ordered, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.empty_like(again)
    np.put_along_axis(repeated, order, again, axis=1)
    return repeated


def _sequences(queries: Embedded, gallery: Embedded, column: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    if column is None:
        return None
    codes = column_codes(queries, gallery, column)
    if codes is None:
        raise LookalikeError(f"`exclude={column}`: queries or gallery have no such column, or nothing in it")
    return codes
