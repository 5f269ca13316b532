"""Strips of pictures: a query beside its best results."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from src.eval.evaluation import Evaluation
from src.eval.evenly_spread import evenly_spread
from src.eval.nearest_positive import nearest_positive
from src.eval.report.thumbnails import Thumbnails

__all__ = ["Found", "Strip", "hits", "misses"]


@dataclass(frozen=True)
class Found:
    """One result of a query.

    Attributes:
        image: data URI.
        item: its item id.
        score: its cosine.
        rank: its rank, from 1.
        relevant: whether it is of the query's item.
    """

    image: str
    item: str
    score: float
    rank: int
    relevant: bool


@dataclass(frozen=True)
class Strip:
    """A query, its best results, and the nearest positive where the results hold none.

    Attributes:
        image: data URI of the query.
        item: the query's item id.
        results: best first.
        missed: the nearest positive where none is among the results, with its rank.
    """

    image: str
    item: str
    results: list[Found]
    missed: Found | None


def hits(evaluation: Evaluation, thumbnails: Thumbnails, *, strips: int, results: int) -> list[Strip]:
    """Queries whose first result is right, evenly spread over all of them.

    Args:
        evaluation: the evaluation.
        thumbnails: of the catalogue.
        strips: most queries shown.
        results: results shown of each.
    """
    right = np.flatnonzero(evaluation.ranking.ranks[:, 0] == 1)
    chosen = right[evenly_spread(len(right), strips)]
    return [_strip(evaluation, thumbnails, query, results) for query in chosen]


def misses(evaluation: Evaluation, thumbnails: Thumbnails, *, strips: int, results: int) -> list[Strip]:
    """The queries with the deepest first positive, the worst first, at most one for each item.

    Args:
        evaluation: the evaluation.
        thumbnails: of the catalogue.
        strips: most queries shown.
        results: results shown of each.
    """
    first = np.where(evaluation.ranking.positives > 0, evaluation.ranking.ranks[:, 0], 0)
    worst = np.argsort(-first, kind="stable")
    chosen = _one_an_item((int(query) for query in worst if first[query] > 1), evaluation.queries.item_ids, strips)
    return [_strip(evaluation, thumbnails, query, results) for query in chosen]


def _one_an_item(queries: Iterable[int], items: np.ndarray, wanted: int) -> list[int]:
    chosen: dict[str, int] = {}
    for query in queries:
        if len(chosen) == wanted:
            break
        chosen.setdefault(items[query], query)
    return list(chosen.values())


def _strip(evaluation: Evaluation, thumbnails: Thumbnails, query: int, results: int) -> Strip:
    ranking, queries, gallery = evaluation.ranking, evaluation.queries, evaluation.gallery
    item = queries.item_ids[query]
    rows = ranking.top_rows[query, :results]
    found = [
        Found(
            thumbnails[gallery.image_ids[row]],
            gallery.item_ids[row],
            float(ranking.top_scores[query, place]),
            place + 1,
            gallery.item_ids[row] == item,
        )
        for place, row in enumerate(rows)
        if row >= 0
    ]
    rank = int(ranking.ranks[query, 0])
    missed = None
    if rank > len(found):
        row, cosine = nearest_positive(evaluation, query)
        missed = Found(thumbnails[gallery.image_ids[row]], gallery.item_ids[row], cosine, rank, True)
    return Strip(thumbnails[queries.image_ids[query]], item, found, missed)
