"""Chance level."""

import numpy as np

from src.models.random_vectors import random_vectors

IDS = np.array(["a", "b", "c", "ü/1"], dtype=object)


def test_an_image_s_vector_follows_from_its_id_and_the_seed_alone() -> None:
    vectors = random_vectors(IDS, seed=3)
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 64))
    np.testing.assert_array_equal(random_vectors(IDS[[2, 0]], seed=3), vectors[[2, 0]])
    assert not np.isclose(random_vectors(IDS, seed=4), vectors).any(axis=0).any()
    assert len(np.unique(vectors, axis=0)) == 4


def test_the_directions_are_uniform() -> None:
    vectors = random_vectors(np.array([f"i{n}" for n in range(3000)], dtype=object), seed=0, dim=8)
    assert np.abs(vectors.mean(axis=0)).max() < 0.08
    np.testing.assert_allclose(np.cov(vectors.T), np.eye(8), atol=0.1)
    assert random_vectors(IDS[:0], seed=0, dim=8).shape == (0, 8)
