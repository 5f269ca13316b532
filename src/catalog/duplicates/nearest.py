"""Find images that look the same by their fingerprints."""

import faiss
import numpy as np

from src.catalog.duplicates.fingerprint import MAX_BITS, MAX_COLOURS, colour_difference

__all__ = ["nearest_duplicates"]

_CHUNK = 2_000
"""Images in a chunk: in the worst case the colours of all 32 candidates of each are compared."""

_CANDIDATES = 32


def nearest_duplicates(images: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find for each image the other image that looks the same, if there is one.

    The 256 bits of every image are compared with those of every other; among the 32 with the nearest bits the one with
    the nearest colours is taken. By bits alone, colour variants of a product in similar photos would count as copies.

    Args:
        images: `FINGERPRINT` array of shape (images,).
        others: `FINGERPRINT` array of shape (others,).

    Returns:
        The number of the other image, -1 for none: int64 of shape (images,). The difference of their colours: float32
        of the same shape, infinite where there is none, 0 for equal files.
    """
    found, distances = np.full(len(images), -1, np.int64), np.full(len(images), np.inf, np.float32)
    if not len(others):
        return found, distances
    index = faiss.IndexBinaryFlat(256)
    index.add(np.ascontiguousarray(others["bits"]))
    colours = others["colours"].reshape(len(others), -1)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK]
        bits, candidates = index.search(np.ascontiguousarray(part["bits"]), min(_CANDIDATES, len(others)))
        rows, places = np.nonzero(bits <= MAX_BITS)
        numbers = candidates[rows, places]
        difference = colour_difference(part["colours"].reshape(len(part), -1)[rows], colours[numbers])
        order = np.lexsort((numbers, difference, rows))
        order = order[difference[order] <= MAX_COLOURS]
        nearest, first = np.unique(rows[order], return_index=True)
        found[start + nearest] = numbers[order][first]
        distances[start + nearest] = difference[order][first]
    return _equal_files_first(images, others, found, distances)


def _equal_files_first(
    images: np.ndarray, others: np.ndarray, found: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take an equal file as the duplicate, however many other images look the same."""
    files, first = np.unique(others["file"], return_index=True)
    place = np.minimum(np.searchsorted(files, images["file"]), len(files) - 1)
    equal = files[place] == images["file"]
    return np.where(equal, first[place], found), np.where(equal, np.float32(0), distances)
