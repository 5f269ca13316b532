"""A map of the embedding in two dimensions, and its trustworthiness."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded

__all__ = ["EmbeddingMap", "balanced_rows", "map_embedding"]

_NEIGHBOURS = 10
_PCA_DIM = 50
_PERPLEXITY = 30.0
_LEAST = 12
"""Fewest images: trustworthiness needs fewer neighbours than half of the images."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Images as points in the plane.

    Attributes:
        rows: int64 of shape (points,), ascending: the image of each point.
        points: float32 of shape (points, 2); nearness has a meaning; axes, sizes and gaps have none.
        trustworthiness: 0 to 1 (Venna, Kaski, 2001): 1 where all neighbours of a point on the map are its neighbours in
            the embedding; about 0.5 for unrelated points.
        neighbours: number of neighbours for which it was computed.
    """

    rows: np.ndarray
    points: np.ndarray
    trustworthiness: float
    neighbours: int


def balanced_rows(item_ids: np.ndarray, limit: int, *, seed: int = 0) -> np.ndarray:
    """Choose images, spread over the items as evenly as possible.

    Args:
        item_ids: shape (images,).
        limit: images at most.
        seed: decides which images of an item, and which items where not all fit.

    Returns:
        int64 rows, ascending.
    """
    rng = np.random.default_rng(seed)
    _, codes = np.unique(item_ids.astype(str), return_inverse=True)
    shuffled = rng.permutation(len(item_ids))
    # The turn in which an image is drawn, where each item gives one image a turn.
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    starts = np.r_[True, codes[order][1:] != codes[order][:-1]]
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order)) - np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    by_turn = shuffled[np.argsort(turn[shuffled], kind="stable")]
    return np.sort(by_turn[:limit]).astype(np.int64)


def map_embedding(images: Embedded, *, limit: int = 3000, seed: int = 0) -> EmbeddingMap:
    """Place a balanced sample of images in the plane, so that images with a high cosine are near each other.

    PCA to 50 dimensions, then t-SNE (van der Maaten, Hinton, 2008) with cosine distances, initialised by PCA. The same
    vectors and seed give the same map on the same machine.

    Args:
        images: embeddings with their ids.
        limit: images at most; the time grows faster than their number.
        seed: of the sample and of t-SNE.

    Raises:
        LookalikeError: fewer than 12 images, or embeddings that have no cosine.
    """
    rows = balanced_rows(images.item_ids, limit, seed=seed)
    if len(rows) < _LEAST:
        raise LookalikeError(f"{len(rows)} images: a map needs at least {_LEAST}")
    vectors = images.take(rows).normalised("embedding map")
    small = PCA(min(_PCA_DIM, *vectors.shape), random_state=seed, svd_solver="full").fit_transform(vectors)
    # Equal images are zero vectors after PCA, which have no cosine; a constant dimension gives them one.
    small = np.column_stack([small, np.full(len(small), 1e-6)])
    tsne = TSNE(
        metric="cosine",
        init="pca",
        perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
        random_state=seed,
    )
    points = tsne.fit_transform(small).astype(np.float32)
    neighbours = min(_NEIGHBOURS, len(rows) // 2 - 1)
    trusted = trustworthiness(vectors, points, n_neighbors=neighbours, metric="cosine")
    return EmbeddingMap(rows, points, float(trusted), neighbours)
