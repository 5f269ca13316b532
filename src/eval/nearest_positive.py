"""The nearest gallery image of a query's item."""

import numpy as np

from src.eval.evaluation import Evaluation

__all__ = ["nearest_positive"]


def nearest_positive(evaluation: Evaluation, query: int) -> tuple[int, float]:
    """Find a query's nearest positive by cosine; the query must have a positive.

    Args:
        evaluation: with the vectors of queries and gallery.
        query: row of the query.

    Returns:
        The positive's row in the gallery, and its cosine.
    """
    queries, gallery = evaluation.queries, evaluation.gallery
    same = gallery.item_ids == queries.item_ids[query]
    rows = np.flatnonzero(same & (gallery.image_ids != queries.image_ids[query]))
    vectors, query_vector = gallery.vectors[rows], queries.vectors[query]
    cosines = vectors @ query_vector / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query_vector))
    best = int(np.argmax(cosines))
    return int(rows[best]), float(cosines[best])
