"""What is ranked: images, or items by their best image or by the mean of their images."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Units", "directions", "first_known", "make_units"]


_NOTHING = 1e-5
"""What float32 leaves of vectors that cancel each other."""


@dataclass(frozen=True)
class Units:
    """A gallery as it is searched: rows, each an image or the mean of an item's images, that stand for units.

    Attributes:
        count: units.
        vectors: float32 of shape (rows, dim), norm 1: what is searched.
        of_row: int64 of shape (rows,): the unit of each row.
        rows_by_unit: int64 of shape (rows,): the rows of unit 0, then those of unit 1, ...
        row_starts: int64 of shape (count + 1,): where each unit begins in `rows_by_unit`.
        of_image: int64 of shape (images,): the unit of each gallery image.
        images_by_unit: int64 of shape (images,).
        image_starts: int64 of shape (count + 1,).
        image_vectors: float32 of shape (images, dim), norm 1.
        sums: float32 of shape (count, dim), the sum of each unit's images, where rows are means; else None.
    """

    count: int
    vectors: np.ndarray
    of_row: np.ndarray
    rows_by_unit: np.ndarray
    row_starts: np.ndarray
    of_image: np.ndarray
    images_by_unit: np.ndarray
    image_starts: np.ndarray
    image_vectors: np.ndarray
    sums: np.ndarray | None

    @property
    def images(self) -> np.ndarray:
        """Images of each unit: int64 of shape (count,)."""
        return np.diff(self.image_starts)


def make_units(vectors: np.ndarray, items: np.ndarray, *, level: str, aggregate: str) -> Units:
    """Prepare a gallery.

    Args:
        vectors: float32 of shape (images, dim), norm 1.
        items: int64 of shape (images,), codes of their items.
        level: `item` or `image`.
        aggregate: with `item`, `best` or `mean`.
    """
    unit = np.unique(items, return_inverse=True)[1] if level == "item" else np.arange(len(vectors))
    by_unit = np.argsort(unit, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(unit))]
    count = len(starts) - 1
    if level == "image" or aggregate == "best":
        return Units(count, vectors, unit, by_unit, starts, unit, by_unit, starts, vectors, None)
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, unit, vectors)
    means = directions(sums)
    each = np.arange(count)
    return Units(count, means, each, each, np.arange(count + 1), unit, by_unit, starts, vectors, sums)


def directions(vectors: np.ndarray) -> np.ndarray:
    """Vectors with norm 1; images that cancel each other have a mean without direction, and a cosine of 0."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(norms > _NOTHING, vectors / np.where(norms > 0, norms, 1), 0).astype(np.float32)


def first_known(units: Units, codes: np.ndarray, null: int) -> np.ndarray:
    """Each unit's value of an image column: that of its first image that has one.

    Args:
        units: of a gallery.
        codes: int64 of shape (images,).
        null: the code of null.

    Returns:
        int64 of shape (units.count,).
    """
    known = np.full(units.count, null)
    order = units.images_by_unit[codes[units.images_by_unit] != null]
    # Written from the last to the first: the first stays.
    known[units.of_image[order[::-1]]] = codes[order[::-1]]
    return known
