"""The chance level: a random vector for each image id, independent of the image."""

import hashlib

import numpy as np

__all__ = ["random_vectors"]


def random_vectors(image_ids: np.ndarray, *, seed: int, dim: int = 64) -> np.ndarray:
    """Standard normal vectors; a vector depends on the id and the seed only.

    Args:
        image_ids: object array of strings, of shape (images,).
        seed: of the draws.
        dim: dimension of the vectors.

    Returns:
        float32 array of shape (images, dim).
    """
    vectors = np.empty((len(image_ids), dim), np.float32)
    for row, image in enumerate(image_ids):
        digest = hashlib.sha256(f"{seed} {image}".encode()).digest()
        vectors[row] = np.random.default_rng(np.frombuffer(digest, "<u4")).standard_normal(dim)
    return vectors
