"""From images to items: an item's score is its best image's."""

import numpy as np

from src.index.protocol import Searchable

__all__ = ["search_items"]


def search_items(
    index: Searchable, vector: np.ndarray, item_of_row: np.ndarray, k: int, *, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k items whose best image is nearest to a query.

    Takes more images until k items are found or there are no more; each time four times as many, so that the cost is
    that of the last search.

    Args:
        index: the images' vectors.
        vector: float32 array of shape (dim,), L2-normalised.
        item_of_row: integers of shape (len(index),), the item of each image.
        k: items wanted.
        allowed: bool array of shape (len(index),), images that may be found.

    Returns:
        Scores, float32, descending, and the rows of the images that reached them, int64: at most k of each.
    """
    images = 2 * k
    while True:
        scores, rows = index.search(vector[None], min(images, len(index)), allowed)
        found = rows[0] >= 0
        scores_found, rows_found = scores[0][found], rows[0][found]
        _, first = np.unique(item_of_row[rows_found], return_index=True)
        first = np.sort(first)
        if len(first) >= k or images >= len(index) or not found.all():
            return scores_found[first[:k]], rows_found[first[:k]]
        images *= 4
