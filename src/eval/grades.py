"""How relevant a result is to a query: by the finest thing that the two have in common."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.eval.embedded import Embedded

__all__ = ["GRADES", "grade_results"]

GRADES: Mapping[str, int] = {"item_id": 3, "parent_id": 2, "category": 1}
"""Same item, same product, same category. What has nothing in common has grade 0."""


def grade_results(
    queries: Embedded, gallery: Embedded, rows: np.ndarray, grades: Mapping[str, int] = GRADES
) -> np.ndarray:
    """Grades of results.

    Args:
        queries: the images that asked.
        gallery: the images that were searched.
        rows: int64 of shape (queries, depth): gallery rows of each query's results, -1 where there is none.
        grades: column -> grade of a result that shares the query's value of it; a column that is absent grades nothing.

    Returns:
        int8 of the shape of `rows`: the highest grade that applies; 0 where `rows` is -1.
    """
    graded = np.zeros(rows.shape, np.int8)
    for column, grade in grades.items():
        asked, found = _codes(queries, gallery, column)
        same = (rows >= 0) & (found[rows] == asked[:, None])
        graded = np.where(same, np.maximum(graded, grade), graded).astype(np.int8)
    return graded


def _codes(queries: Embedded, gallery: Embedded, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A column's values as integers that are equal where the values are; null equals nothing."""
    if column == "item_id":
        values = pa.array(np.concatenate([queries.item_ids, gallery.item_ids]).astype(str))
    else:
        asked, found = queries.attribute(column), gallery.attribute(column)
        if asked is None or found is None:
            return np.full(len(queries), -1), np.full(len(gallery), -2)
        values = pa.concat_arrays([*asked.chunks, *found.cast(asked.type).chunks])
    codes = pc.fill_null(values.dictionary_encode().indices, -1).to_numpy().astype(np.int64)
    asked_codes, found_codes = codes[: len(queries)], codes[len(queries) :]
    return asked_codes, np.where(found_codes < 0, -2, found_codes)
