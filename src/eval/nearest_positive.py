"""What a query should have found: the nearest image of its item."""

import numpy as np

from src.eval.evaluation import Evaluation

__all__ = ["nearest_positive"]


def nearest_positive(evaluation: Evaluation, query: int) -> tuple[int, float]:
    """The positive that is nearest to a query which has one.

    Args:
        evaluation: with the vectors of queries and gallery.
        query: its row.

    Returns:
        The positive's row in the gallery, and its cosine.
    """
    queries, gallery = evaluation.queries, evaluation.gallery
    same = gallery.item_ids == queries.item_ids[query]
    rows = np.flatnonzero(same & (gallery.image_ids != queries.image_ids[query]))
    vectors, asked = gallery.vectors[rows], queries.vectors[query]
    cosines = vectors @ asked / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(asked))
    best = int(np.argmax(cosines))
    return int(rows[best]), float(cosines[best])
