"""Which items an encoder takes for each other, over a whole training set."""

from collections.abc import Iterator

import numpy as np

from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet
from src.index.faiss_index import FaissIndex
from src.index.layouts import choose_layout

__all__ = ["confused_items"]

_CHUNK = 4096
"""Images that ask at once: with 100 results each, some 10 MB."""

_LEAST = 1e-6
"""Nearness of the last result that was looked at: it is a neighbour too."""

_CATALOGUE = 0
"""Position in `DOMAINS`."""


def confused_items(
    vectors: np.ndarray, images: TrainingSet, *, count: int, skip: int
) -> tuple[Neighbourhoods, float | None]:
    """The items nearest to each item, of other products.

    All images ask; catalogue images answer where each item has one, else all images do. How near an item is to another
    is the mean, over the images of the one, of how far the other's best image lies above the last result that was
    looked at; no image finds itself, and no variant of an item's own parent counts. The search is exact up to 50,000
    images and then by HNSW: its time grows with the square of the images, then nearly linearly.

    Args:
        vectors: float32 of shape (images, dim), of norm 1.
        images: what they are of.
        count: items for each item.
        skip: how many of the very nearest are left out before; these are often mislabelled.

    Returns:
        The neighbours, weighted by how near they are; and the share of images that found another product before their
        own item (or no later), of those whose item has another image to be found: None where no item has one.
    """
    gallery = _gallery(images)
    # Room for the variants, and for each neighbour with several images.
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
    """Rows that are searched."""
    catalogue = np.flatnonzero(images.domains == _CATALOGUE)
    complete = len(np.unique(images.items[catalogue])) == images.item_count
    return catalogue if complete else np.arange(len(images))


def _several(items: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Items with more than one image in the gallery."""
    return np.flatnonzero(np.bincount(items[gallery]) > 1)


def _whole_items(items: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in chunks that part no item."""
    order = np.argsort(items, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(items[order]) > 0])
    while len(starts):
        ends = np.r_[starts[1:], len(order)]
        last = max(int(np.searchsorted(ends, starts[0] + _CHUNK, side="right")), 1)
        yield order[starts[0] : ends[last - 1]]
        starts = starts[last:]


def _nearest(
    askers: np.ndarray, results: np.ndarray, scores: np.ndarray, *, count: int, skip: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each item's nearest items among its images' results, and how near they are.

    Args:
        askers: int64 of shape (images,): the item of each image; all images of an item are there.
        results: int64 of shape (images, depth): the item of each result.
        scores: float32 of the same shape, descending but for those that do not count, which are -inf.
        count: see `confused_items`.
        skip: see there.
    """
    most = int(results.max(initial=0)) + 1
    floor = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, keepdims=True)
    counted = np.isfinite(scores)
    image = np.broadcast_to(np.arange(len(askers))[:, None], results.shape)[counted]
    above = (scores - np.where(np.isfinite(floor), floor, 0))[counted]
    # The first of an image's results of one item is its best.
    _, first = np.unique(image * most + results[counted], return_index=True)
    pairs, place = np.unique(askers[image[first]] * most + results[counted][first], return_inverse=True)
    items, neighbours = pairs // most, pairs % most
    nearness = np.bincount(place, above[first], minlength=len(pairs)) / np.bincount(askers)[items]
    order = np.lexsort((neighbours, -nearness, items))
    items, neighbours, nearness = items[order], neighbours[order], nearness[order]
    rank = np.arange(len(items)) - np.searchsorted(items, items)
    kept = (rank >= skip) & (rank < skip + count)
    return items[kept], neighbours[kept], nearness[kept] + _LEAST
