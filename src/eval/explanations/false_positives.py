"""Find the queries whose first result is wrong, the worst first."""

from dataclasses import dataclass

import numpy as np

from src.eval.evaluation import Evaluation

__all__ = ["FalsePositive", "worst_false_positives"]


@dataclass(frozen=True)
class FalsePositive:
    """A query whose first result is of another item.

    Attributes:
        query: row of the queries.
        found: gallery row of the first result.
        found_score: its cosine.
        missed: gallery row of the nearest positive.
        missed_score: its cosine.
        missed_rank: its rank, from 1; items or images as the evaluation's level says.
    """

    query: int
    found: int
    found_score: float
    missed: int
    missed_score: float
    missed_rank: int


def worst_false_positives(evaluation: Evaluation, n: int) -> list[FalsePositive]:
    """The queries whose wrong first result exceeds their nearest positive by the largest gap in score.

    A pair of items (the query's, the result's) is listed once, with its worst query.

    Args:
        evaluation: of any level.
        n: most queries.

    Returns:
        The worst first; of equal gaps the earlier query.
    """
    queries, gallery, ranking = evaluation.queries, evaluation.gallery, evaluation.ranking
    first = ranking.top_rows[:, 0]
    wrong = (first >= 0) & (ranking.positives > 0) & (gallery.item_ids[first] != queries.item_ids)
    query_vectors, gallery_vectors = queries.normalised("queries"), gallery.normalised("gallery")
    order = np.argsort(gallery.item_ids.astype(str), kind="stable")
    items = gallery.item_ids.astype(str)[order]
    found = []
    for query in np.flatnonzero(wrong):
        item = str(queries.item_ids[query])
        rows = order[np.searchsorted(items, item) : np.searchsorted(items, item, side="right")]
        rows = rows[gallery.image_ids[rows] != queries.image_ids[query]]
        scores = gallery_vectors[rows] @ query_vectors[query]
        best = int(scores.argmax())
        found.append(
            FalsePositive(
                query=int(query),
                found=int(first[query]),
                found_score=float(ranking.top_scores[query, 0]),
                missed=int(rows[best]),
                missed_score=float(scores[best]),
                missed_rank=int(ranking.ranks[query, 0]),
            )
        )
    found.sort(key=lambda one: one.missed_score - one.found_score)
    chosen: dict[tuple[object, object], FalsePositive] = {}
    for one in found:
        chosen.setdefault((queries.item_ids[one.query], gallery.item_ids[one.found]), one)
    return list(chosen.values())[:n]
