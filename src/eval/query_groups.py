"""Queries of several images: one search with the mean of their embeddings."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.eval.relevance import comparable

__all__ = ["QUERY_IMAGES", "merged_queries"]

QUERY_IMAGES = "query_images"
"""The column that merged queries get: the number of their images."""


def merged_queries(queries: Embedded, gallery: Embedded, column: str, *, exclude: str | None) -> Embedded:
    """Make one query of all query images that share a column's value.

    Its vector is the mean of their vectors of norm 1; its image id and attributes are those of its first image. An
    image without a value is a query of its own.

    Args:
        queries: the query images.
        gallery: the gallery images.
        column: whose values name the queries.
        exclude: the protocol's excluded column. A query of several images must not find any of them; as a query is
            known by its first image alone, the others must be no gallery images, or be hidden by `column`.

    Returns:
        One row for each query, in the order of their first images, with the further column `query_images` (int64).

    Raises:
        LookalikeError: no such column, images of several items in one query, or images that it would find.
    """
    values = queries.attribute(column)
    if values is None:
        raise LookalikeError(f"`merge_queries={column}`: queries have no such column, or nothing in it")
    codes = pc.fill_null(comparable(values, column).combine_chunks().dictionary_encode().indices, -1).to_numpy(
        zero_copy_only=False
    )
    alone = codes < 0
    codes = np.where(alone, len(codes) + np.arange(len(codes)), codes)
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    first, group = first[order], np.argsort(order)[group]
    counts = np.bincount(group)
    other = np.flatnonzero(queries.item_ids != queries.item_ids[first][group])
    if len(other):
        row = other[0]
        raise LookalikeError(
            f"`merge_queries={column}`: {values[row].as_py()!r} has images of the items "
            f"{queries.item_ids[first[group[row]]]!r} and {queries.item_ids[row]!r}; a query asks for one item"
        )
    if exclude != column:
        found = np.isin(queries.image_ids, gallery.image_ids) & (counts[group] > 1)
        if found.any():
            raise LookalikeError(
                f"`merge_queries={column}`: image {queries.image_ids[found][0]!r} of a query is in the gallery, too, "
                f"and would be found; set `roles=user_to_catalogue` or `exclude={column}`"
            )
    sums = np.zeros((len(first), queries.vectors.shape[1]), np.float32)
    np.add.at(sums, group, queries.normalised("queries"))
    merged = queries.take(first)
    assert merged.attributes is not None
    attributes = merged.attributes
    if QUERY_IMAGES in attributes.column_names:
        attributes = attributes.drop_columns(QUERY_IMAGES)
    attributes = attributes.append_column(QUERY_IMAGES, pa.array(counts, pa.int64()))
    return Embedded(sums / counts[:, None], merged.image_ids, merged.item_ids, attributes)
