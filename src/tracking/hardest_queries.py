"""The hardest queries as a table with pictures: the query, the wrong result, the nearest positive."""

from typing import Any

import numpy as np
import wandb

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.evaluation import Evaluation
from src.eval.hard_cases import worst_queries
from src.eval.nearest_positive import nearest_positive

__all__ = ["COLUMNS", "hardest_queries"]

COLUMNS = ("query", "item", "found", "found item", "should be", "first rank", "map@r", "margin")
_PICTURE = PreprocessingSpec(size=128, resize="pad")


def hardest_queries(catalogue: Catalogue, evaluation: Evaluation, count: int) -> wandb.Table:
    """The worst queries, the worst first (`worst_queries` says in which order).

    Args:
        catalogue: where the images are.
        evaluation: with the results of each query.
        count: most rows.

    Returns:
        A table of `COLUMNS`; `found` is the best wrong result, `should be` the nearest positive.
    """
    query_of = {image: query for query, image in enumerate(evaluation.queries.image_ids)}

    def picture(image: str | None) -> wandb.Image | None:
        if image is None:
            return None
        pixels: np.ndarray = catalogue.pixels(catalogue.row_of[image], _PICTURE)
        return wandb.Image(pixels, file_type="jpg")

    rows: list[list[Any]] = []
    for case in worst_queries(evaluation.per_query, count):
        positive, _ = nearest_positive(evaluation, query_of[case.image_id])
        found, should_be = case.found_image_id, evaluation.gallery.image_ids[positive]
        rows.append(
            [
                picture(case.image_id),
                case.item_id,
                picture(found),
                case.found_item_id,
                picture(should_be),
                case.first_rank,
                case.map_at_r,
                case.margin,
            ]
        )
    return wandb.Table(columns=[*COLUMNS], data=rows)
