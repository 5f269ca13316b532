"""Find the items that an encoder confuses, over a whole training set."""

from collections.abc import Iterator

import numpy as np

from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet
from src.index.faiss_index import FaissIndex
from src.index.layouts import choose_layout

__all__ = ["confused_items"]

_CHUNK = 4096
"""Queries at once: with 100 results each, some 10 MB."""

_LEAST = 1e-6
"""Added to each nearness, so that the last result has a positive weight as well."""

_CATALOGUE = 0
"""Position in `DOMAINS`."""


def confused_items(
    vectors: np.ndarray, images: TrainingSet, *, count: int, skip: int
) -> tuple[Neighbourhoods, float | None]:
    """Find the nearest items of other products for each item.

    All images are queries; the gallery is the catalogue images where each item has one, else all images. The nearness
    of item B to item A is the mean, over A's images, of the score of B's best image minus the score of the last result.
    An image does not find itself, and variants of an item's own parent do not count. The search is exact up to 50,000
    images, and uses HNSW beyond: its time grows with the square of the images, then nearly linearly.

    Args:
        vectors: float32 of shape (images, dim), of norm 1.
        images: the training set, in the same order.
        count: number of neighbours of each item.
        skip: number of nearest items to leave out, which are often mislabelled.

    Returns:
        The neighbours, weighted by nearness; and the share of images that find another product before their own item,
        or at the same score, among images whose item has another gallery image; None where no item has one.
    """
    gallery = _gallery(images)
    # Deep enough for the variants, and for neighbours with several images.
    depth = int(np.bincount(images.parents[gallery]).max()) + 4 * (count + skip)
    built = np.ascontiguousarray(vectors[gallery])
    index = FaissIndex.build(built, layout=choose_layout(len(gallery)), ef_search=max(2 * depth, 64))
    found, confused, answerable = [], 0, 0
    for rows in _whole_items(images.items):
        scores, places = index.search(vectors[rows], min(depth, len(gallery)))
        results = gallery[places]
        scores = np.where((places < 0) | (results == rows[:, None]), -np.inf, scores)
        own = np.where(images.items[results] == images.items[rows][:, None], scores, -np.inf).max(axis=1)
        foreign = np.where(images.parents[results] != images.parents[rows][:, None], scores, -np.inf)
        known = np.isin(images.items[rows], _several(images.items, gallery)) | ~np.isin(rows, gallery)
        answerable += int(known.sum())
        confused += int((known & (foreign.max(axis=1) >= own)).sum())
        found.append(_nearest(images.items[rows], images.items[results], foreign, count=count, skip=skip))
    items, neighbours, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    table = Neighbourhoods.of_pairs(items, neighbours, weights, item_count=images.item_count)
    return table, confused / answerable if answerable else None


def _gallery(images: TrainingSet) -> np.ndarray:
    """Rows of the gallery."""
    catalogue = np.flatnonzero(images.domains == _CATALOGUE)
    complete = len(np.unique(images.items[catalogue])) == images.item_count
    return catalogue if complete else np.arange(len(images))


def _several(items: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Items with more than one image in the gallery."""
    return np.flatnonzero(np.bincount(items[gallery]) > 1)


def _whole_items(items: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in chunks that keep each item's images together."""
    order = np.argsort(items, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(items[order]) > 0])
    while len(starts):
        ends = np.r_[starts[1:], len(order)]
        last = max(int(np.searchsorted(ends, starts[0] + _CHUNK, side="right")), 1)
        yield order[starts[0] : ends[last - 1]]
        starts = starts[last:]


def _nearest(
    query_items: np.ndarray, results: np.ndarray, scores: np.ndarray, *, count: int, skip: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each item's nearest items among its images' results, and their nearness.

    Args:
        query_items: int64 of shape (images,): the item of each query; all images of an item are there.
        results: int64 of shape (images, depth): the item of each result.
        scores: float32 of the same shape, descending, except for results that do not count, which are -inf.
        count: see `confused_items`.
        skip: see `confused_items`.
    """
    most = int(results.max(initial=0)) + 1
    floor = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, keepdims=True)
    counted = np.isfinite(scores)
    image = np.broadcast_to(np.arange(len(query_items))[:, None], results.shape)[counted]
    above = (scores - np.where(np.isfinite(floor), floor, 0))[counted]
    # The first of an image's results of one item is its best.
    _, first = np.unique(image * most + results[counted], return_index=True)
    pairs, place = np.unique(query_items[image[first]] * most + results[counted][first], return_inverse=True)
    items, neighbours = pairs // most, pairs % most
    nearness = np.bincount(place, above[first], minlength=len(pairs)) / np.bincount(query_items)[items]
    order = np.lexsort((neighbours, -nearness, items))
    items, neighbours, nearness = items[order], neighbours[order], nearness[order]
    rank = np.arange(len(items)) - np.searchsorted(items, items)
    kept = (rank >= skip) & (rank < skip + count)
    return items[kept], neighbours[kept], nearness[kept] + _LEAST
