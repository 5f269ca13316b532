"""A baseline without a network: SIFT descriptors, a visual vocabulary, VLAD."""

from collections.abc import Iterable

import cv2
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from src.contracts.errors import LookalikeError

__all__ = ["SiftVlad", "fit_sift_vlad", "root_sift", "vlad"]

_KEYPOINTS = 300
"""Most keypoints of an image; the strongest are kept."""

_SAMPLED = 200_000
"""Most descriptors from which the vocabulary is learned: 100 MB."""


def root_sift(image: np.ndarray) -> np.ndarray:
    """RootSIFT (Arandjelovic, Zisserman: Three things everyone should know, 2012): L1-normalised, then square roots.

    Args:
        image: uint8 RGB array of shape (height, width, 3).

    Returns:
        float32 array of shape (keypoints, 128), at most 300, rows of norm 1; no rows where there are no keypoints.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    _, found = cv2.SIFT.create(nfeatures=_KEYPOINTS).detectAndCompute(grey, None)
    if found is None:
        return np.empty((0, 128), np.float32)
    # OpenCV may return a few more where responses tie.
    found = np.asarray(found[:_KEYPOINTS], np.float32)
    return np.sqrt(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12))


def vlad(descriptors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Residuals to the nearest words, summed (Jegou, Douze, Schmid, Perez: Aggregating local descriptors, 2010).

    Each word's sum is normalised (intra-normalisation; Arandjelovic, Zisserman: All about VLAD, 2013), then signed
    square roots are taken, then the whole vector is normalised.

    Args:
        descriptors: float32 array of shape (keypoints, d).
        centres: float32 array of shape (words, d), the vocabulary.

    Returns:
        float32 array of shape (words * d,), of norm 1; without descriptors all components are equal, so that images
        without keypoints are similar.
    """
    # Squared distances, without the term that is the same for each word.
    nearest = np.argmin((centres**2).sum(axis=1) - 2 * descriptors @ centres.T, axis=1)
    sums = np.zeros_like(centres)
    np.add.at(sums, nearest, descriptors - centres[nearest])
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    sums = np.where(norms > 1e-6, sums / np.maximum(norms, 1e-6), 0)
    whole = (np.sign(sums) * np.sqrt(np.abs(sums))).ravel()
    norm = np.linalg.norm(whole)
    return (whole / norm if norm > 0 else np.full(whole.shape, len(whole) ** -0.5)).astype(np.float32)


class SiftVlad:
    """A vocabulary and the whitening of its VLADs; a function from pixels to vectors.

    Attributes:
        words: words of the vocabulary.
        dim: dimension of the vectors.
    """

    def __init__(self, centres: np.ndarray, mean: np.ndarray, projection: np.ndarray) -> None:
        self._centres = centres
        self._mean = mean
        self._projection = projection
        self.words = len(centres)
        self.dim = projection.shape[1]

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 RGB pixels (images, height, width, 3) to float32 vectors (images, dim), rows of norm 1."""
        vlads = np.stack([vlad(root_sift(image), self._centres) for image in pixels])
        return _unit((vlads - self._mean) @ self._projection)


def fit_sift_vlad(batches: Iterable[np.ndarray], *, words: int = 64, dim: int = 256, seed: int = 0) -> SiftVlad:
    """Learn a vocabulary (mini-batch k-means) and a whitening (PCA; Jegou, Chum, 2012) from training images.

    VLADs have words * 128 dimensions, 32 KB an image with 64 words; whitened to 256 dimensions they take 1 KB, and
    co-occurrences that all images share get a lower weight.

    Args:
        batches: uint8 RGB pixels of training images, arrays of shape (images, height, width, 3). Their descriptors are
            kept as float32: up to 150 KB an image.
        words: words of the vocabulary; fewer where there are fewer descriptors.
        dim: dimension of the vectors; lower where there are fewer images.
        seed: of k-means, PCA and the choice of descriptors.

    Raises:
        LookalikeError: fewer than two images, no keypoints, or equal images.
    """
    described = [root_sift(image) for pixels in batches for image in pixels]
    pooled = np.concatenate(described) if described else np.empty((0, 128), np.float32)
    if len(described) < 2 or not len(pooled):
        raise LookalikeError(
            f"a visual vocabulary needs at least 2 training images with SIFT keypoints; {len(described)} images have "
            f"{len(pooled)}; check the split `train` of the catalogue"
        )
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(pooled), min(_SAMPLED, len(pooled)), replace=False))
    distinct = len(np.unique(pooled[chosen], axis=0)) if len(chosen) < 10 * words else words
    clustering = MiniBatchKMeans(min(words, distinct), random_state=seed, batch_size=4096, n_init=3)
    centres = clustering.fit(pooled[chosen]).cluster_centers_.astype(np.float32)
    vlads = np.stack([vlad(descriptors, centres) for descriptors in described])
    mean = vlads.mean(axis=0)
    return SiftVlad(centres, mean, _whitening(vlads - mean, dim))


def _whitening(centred: np.ndarray, dim: int) -> np.ndarray:
    """Projection to the principal directions with variance 1 in each: float32 of shape (numbers, at most dim).

    Computed from the Gram matrix, which is smaller than the covariance: there are fewer images than dimensions.
    """
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    kept = np.flatnonzero(values > 1e-6 * max(values[-1], 1e-6))[::-1][:dim]
    if not len(kept):
        raise LookalikeError("all training images have the same SIFT descriptors; check the split `train`")
    # Row i of `centred` is sqrt(value) * vector[i] along a direction, whose deviation contributes another sqrt(value).
    scale = np.sqrt(len(centred) - 1) / values[kept]
    return (centred.T @ (vectors[:, kept] * scale)).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of norm 1; a row of zeros, of an image equal to the mean, gets equal components."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    constant = vectors.shape[1] ** -0.5
    return np.where(norms > 1e-12, vectors / np.maximum(norms, 1e-12), constant).astype(np.float32)
