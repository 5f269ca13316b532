"""Images that look the same, by their fingerprints."""

import faiss
import numpy as np

__all__ = ["BITS", "COLOURS", "nearest_duplicates"]

BITS = 10
"""Bits of 64 by which two copies of a picture may differ."""

COLOURS = 5.0
"""Mean difference of the 8 x 8 pixels' channels, on the scale 0..255 and after one factor for brightness."""

_CHUNK = 2_000
"""Images at a time: in a catalogue of look-alikes all 32 candidates of each have their colours compared."""

_CANDIDATES = 32


def nearest_duplicates(images: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each image, the other that looks the same, if there is one.

    Every image is compared with every other, 64 bits at a time; of the 32 whose bits are nearest, the one whose colours
    are nearest is taken. Bits alone would take colour variants of one product, photographed alike, for copies.

    Args:
        images: `FINGERPRINT` array of shape (images,).
        others: `FINGERPRINT` array of shape (others,).

    Returns:
        The number of the other image, -1 for none: int64 of shape (images,). How far its colours are: float32 of the
        same shape, infinite where there is none. A file that is equal byte for byte is at 0.
    """
    found, distances = np.full(len(images), -1, np.int64), np.full(len(images), np.inf, np.float32)
    if not len(others):
        return found, distances
    index = faiss.IndexBinaryFlat(64)
    index.add(np.ascontiguousarray(others["bits"]))
    colours = others["colours"].reshape(len(others), -1)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK]
        bits, candidates = index.search(np.ascontiguousarray(part["bits"]), min(_CANDIDATES, len(others)))
        rows, places = np.nonzero(bits <= BITS)
        numbers = candidates[rows, places]
        apart = _apart(part["colours"].reshape(len(part), -1)[rows], colours[numbers])
        order = np.lexsort((numbers, apart, rows))
        order = order[apart[order] <= COLOURS]
        nearest, first = np.unique(rows[order], return_index=True)
        found[start + nearest] = numbers[order][first]
        distances[start + nearest] = apart[order][first]
    return _equal_files_first(images, others, found, distances)


def _equal_files_first(
    images: np.ndarray, others: np.ndarray, found: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An equal file is a duplicate, however many others look like it."""
    files, first = np.unique(others["file"], return_index=True)
    place = np.minimum(np.searchsorted(files, images["file"]), len(files) - 1)
    equal = files[place] == images["file"]
    return np.where(equal, first[place], found), np.where(equal, np.float32(0), distances)


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean difference of two pictures that were made equally bright: float32 of shape (pairs,)."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    light = (a.mean(axis=1) + 1) / (b.mean(axis=1) + 1)
    # The darker one is made as bright as the other, so that the scale is the brighter one's.
    return np.abs(a * np.maximum(1 / light, 1)[:, None] - b * np.maximum(light, 1)[:, None]).mean(axis=1)
