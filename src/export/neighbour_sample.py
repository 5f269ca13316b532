"""Which images of a gallery a bundle stores, for a lower precision to be judged by at serving."""

from collections.abc import Callable

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels
from src.eval.embedded import embed_rows
from src.export.gate_images import LEAST_OVERLAP
from src.export.runtime.neighbours import Neighbours

__all__ = ["sample_neighbours"]

_QUERIES = (8, 24)
_QUERY_BYTES = 4 * 2**20
_NEAR = 24
"""Stored neighbours of a query: what a usable precision finds among the ten nearest is among these in float32."""

_BATCH = 32


def sample_neighbours(
    catalogue: Catalogue,
    rows: np.ndarray,
    spec: PreprocessingSpec,
    vectors: np.ndarray,
    *,
    reference: Callable[[np.ndarray], np.ndarray] | None,
) -> Neighbours | None:
    """Choose gallery images at random, and the images nearest to each in the rest of the gallery.

    Gallery images ask, not users' photos: the bundle shows the former anyway, and the latter are not ours to pass on.
    24 of them, fewer where their pixels would take more than 4 MiB, but 8 at least. At 224 pixels and 768 dimensions
    the two take at most 5.3 MiB, and no more than 8 MiB up to 512 pixels and 2,048 dimensions.

    Args:
        catalogue: where the images are.
        rows: int64 of shape (images,), the gallery.
        spec: how pixels are made.
        vectors: float32 of shape (images, dim), L2-normalised, the gallery as it is indexed.
        reference: embeds in float32, as `Embed` in `src.eval.embedded`; None where `vectors` are of float32.

    Returns:
        None for a gallery so small that nearly all are among the ten nearest.
    """
    if len(rows) < LEAST_OVERLAP:
        return None
    least, most = _QUERIES
    count = min(len(rows) // 5, max(least, min(most, _QUERY_BYTES // (3 * spec.size**2))))
    asking = np.sort(np.random.default_rng(0).choice(len(rows), count, replace=False))
    scores = vectors[asking] @ vectors.T
    scores[:, asking] = -np.inf
    near = min(_NEAR, len(rows) - count)
    # In the order of rows: an order by cosine would tell a runtime that computes nothing the answer.
    gallery = np.unique(np.argpartition(-scores, near - 1, axis=1)[:, :near])
    pixels = np.concatenate(list(iterate_pixels(catalogue, rows[asking], spec, batch=_BATCH)))
    if reference is None:
        true_queries, true_gallery = vectors[asking], vectors[gallery]
    else:
        both = np.concatenate([rows[asking], rows[gallery]])
        embedded = embed_rows(catalogue, both, spec, reference, batch=_BATCH, what="neighbours in float32")
        true_queries, true_gallery = np.split(embedded.normalised("neighbours"), [count])
    return Neighbours(pixels, vectors[gallery], true_queries @ true_gallery.T)
