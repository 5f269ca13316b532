"""Stored neighbours: whether another arithmetic finds, at serving, what float32 found at export.

A bundle holds the pixels of a few gallery images, the gallery's embeddings near them, and the float32 cosines between
the two. A runtime embeds the pixels; the share of the ten nearest by the stored cosines that its embeddings find is the
overlap that `GateSettings.min_overlap` limits.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.contracts.errors import BundleError

__all__ = ["Neighbours", "neighbour_overlap", "read_neighbours", "write_neighbours"]

_TIE = 1e-5
"""Cosines nearer than this are equal: either of two such neighbours is right."""

_BATCH = 8


@dataclass(frozen=True)
class Neighbours:
    """What `neighbours.npz` holds.

    Attributes:
        queries: uint8 of shape (queries, size, size, 3), the pixels of gallery images.
        gallery: float32 of shape (images, dim), embeddings of other gallery images, as the index has them.
        cosines: float32 of shape (queries, images), by the float32 encoder.
    """

    queries: np.ndarray
    gallery: np.ndarray
    cosines: np.ndarray

    def overlap(self, embed: Callable[[np.ndarray], np.ndarray]) -> float:
        """Embed the queries, and return the share of their ten nearest that are found; NaN where a number is none."""
        starts = range(0, len(self.queries), _BATCH)
        embeddings = np.concatenate([embed(self.queries[start : start + _BATCH]) for start in starts])
        return neighbour_overlap(embeddings @ self.gallery.T, self.cosines)


def neighbour_overlap(cosines: np.ndarray, true_cosines: np.ndarray, *, k: int = 10) -> float:
    """Mean share of each query's k nearest by the true cosines that the other cosines find.

    Args:
        cosines: float32 of shape (queries, images).
        true_cosines: as `cosines`, from the reference.
        k: neighbours; at most all images.

    Returns:
        A number from 0 to 1; NaN where a cosine is NaN or infinite.
    """
    if not np.isfinite(cosines).all():
        return float("nan")
    k = min(k, cosines.shape[1])
    least = -np.partition(-true_cosines, k - 1, axis=1)[:, k - 1 : k]
    found = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return float((np.take_along_axis(true_cosines, found, axis=1) >= least - _TIE).mean())


def write_neighbours(path: Path, neighbours: Neighbours) -> None:
    """Write what `read_neighbours` reads; equal neighbours give equal bytes."""
    arrays = {"queries": neighbours.queries, "gallery": neighbours.gallery, "cosines": neighbours.cosines}
    np.savez(path, allow_pickle=False, **arrays)


def read_neighbours(path: Path) -> Neighbours:
    """Read what `write_neighbours` wrote; raises `BundleError` where it is not that."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = Neighbours(stored["queries"], stored["gallery"], stored["cosines"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: not readable neighbours ({error})") from None
    if found.cosines.shape != (len(found.queries), len(found.gallery)) or not found.cosines.size:
        raise BundleError(
            f"{path}: {len(found.queries)} queries and {len(found.gallery)} images have cosines of shape "
            f"{found.cosines.shape}; export the bundle again"
        )
    return found
