"""The map of the embedding: balanced, repeatable, and honest about itself."""

import numpy as np
import pytest

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.eval.embedding_map import balanced_rows, map_embedding


def clusters(items: int, images: int, *, spread: float, seed: int = 0) -> Embedded:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((items, 64)).repeat(images, axis=0)
    vectors = (centres + spread * rng.standard_normal(centres.shape)) * rng.uniform(0.1, 9, (len(centres), 1))
    ids = np.array([f"image-{n}" for n in range(len(vectors))], object)
    return Embedded(vectors.astype(np.float32), ids, np.arange(items).repeat(images).astype(str).astype(object))


def test_items_are_drawn_evenly() -> None:
    ids = np.array(["a"] * 50 + ["b"] * 3 + ["c"] * 7 + ["d"], object)
    rows = balanced_rows(ids, 12)
    assert (np.diff(rows) > 0).all()
    counts = {item: int((ids[rows] == item).sum()) for item in "abcd"}
    # d has one image and b three; the other two share what is left.
    assert counts["d"] == 1
    assert counts["b"] == 3
    assert {counts["a"], counts["c"]} == {4}
    assert balanced_rows(ids, 500).tolist() == list(range(61))
    assert balanced_rows(ids, 12).tolist() == rows.tolist()
    assert balanced_rows(ids, 12, seed=1).tolist() != rows.tolist()
    # More items than fit: one image each.
    assert len(set(ids[balanced_rows(ids, 3)])) == 3


def test_neighbours_stay_neighbours_and_the_map_is_repeatable() -> None:
    images = clusters(8, 10, spread=0.1)
    found = map_embedding(images, limit=64)
    assert found.points.shape == (64, 2)
    assert found.points.dtype == np.float32
    items = images.item_ids[found.rows]
    distances = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (items[distances.argmin(axis=1)] == items).all()
    assert found.trustworthiness > 0.9
    again = map_embedding(images, limit=64)
    np.testing.assert_array_equal(again.points, found.points)
    assert again.trustworthiness == found.trustworthiness


def test_noise_is_trusted_less() -> None:
    rng = np.random.default_rng(0)
    noise = clusters(60, 1, spread=1)
    noise = Embedded(rng.standard_normal((60, 64)).astype(np.float32), noise.image_ids, noise.item_ids)
    assert map_embedding(noise).trustworthiness < map_embedding(clusters(6, 10, spread=0.1)).trustworthiness - 0.1


def test_few_images_are_mapped_and_fewer_refused() -> None:
    found = map_embedding(clusters(4, 3, spread=0.1))
    assert found.points.shape == (12, 2)
    assert found.neighbours == 5
    assert np.isfinite(found.points).all()
    with pytest.raises(LookalikeError, match="11 images: a map needs at least 12"):
        map_embedding(clusters(11, 1, spread=0.1))


def test_equal_embeddings_are_mapped_without_numbers_that_are_none() -> None:
    same = Embedded(
        np.ones((20, 8), np.float32), np.arange(20).astype(str).astype(object), np.array(["x"] * 20, object)
    )
    assert np.isfinite(map_embedding(same).points).all()
    broken = Embedded(np.full((20, 8), np.nan, np.float32), same.image_ids, same.item_ids)
    with pytest.raises(LookalikeError, match="such vectors have no cosine"):
        map_embedding(broken)
