"""All pairs above the cosine and no others, each once."""

import numpy as np

from src.catalog.duplicates.embedding_pairs import embedding_pairs
from src.catalog.duplicates.groups import group_duplicates


def test_pairs_are_those_of_the_product_of_all() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 16))
    vectors = centres[rng.integers(0, 20, 150)] + rng.normal(size=(150, 16)) * 0.2
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"i{number:03d}" for number in rng.permutation(150)]
    found = embedding_pairs(ids, vectors, min_cosine=0.95)
    cosines = vectors @ vectors.T
    rows, others = np.nonzero(np.triu(cosines >= 0.95, 1))
    expected = {tuple(sorted((ids[a], ids[b]))): cosines[a, b] for a, b in zip(rows, others, strict=True)}
    assert len(expected) > 100
    pairs = list(zip(found["image_id"].to_pylist(), found["other_id"].to_pylist(), strict=True))
    assert pairs == sorted(expected)
    np.testing.assert_allclose(found["cosine"].to_numpy(), [expected[pair] for pair in pairs], atol=1e-5)
    assert group_duplicates(found).components <= 20


def test_of_very_many_equal_ones_each_keeps_a_few() -> None:
    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (50, 1))
    found = embedding_pairs([f"i{number:02d}" for number in range(50)], vectors, min_cosine=0.9, most=3)
    assert found.num_rows <= 150
    assert group_duplicates(found).components == 1
