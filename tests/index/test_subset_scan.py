"""Scanning some rows of a storage against scanning all of them in NumPy."""

import faiss
import numpy as np
import pytest

from src.index import subset_scan
from src.index.subset_scan import scan_allowed

STORAGES = {
    "fp32": lambda dim: faiss.IndexFlatIP(dim),
    "fp16": lambda dim: faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT),
    "sq8": lambda dim: faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT),
}


def storage_of(vectors: np.ndarray, kind: str) -> faiss.Index:
    storage = STORAGES[kind](vectors.shape[1])
    storage.train(vectors)
    storage.add(vectors)
    return storage


def random_vectors(rows: int, seed: int = 0, dim: int = 24) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", STORAGES)
@pytest.mark.parametrize("passing", [0, 1, 2, 9, 60, 1500, 2600, 3000])
@pytest.mark.parametrize("walk_above", [0.0, 1.0])
def test_it_finds_what_numpy_finds(monkeypatch: pytest.MonkeyPatch, kind: str, passing: int, walk_above: float) -> None:
    """Copied out or walked through: 2,600 rows are two blocks and a part of one."""
    monkeypatch.setattr(subset_scan, "_WALK_ABOVE", walk_above)
    vectors, queries = random_vectors(3000), random_vectors(4, seed=1)
    vectors[100:140] = vectors[7]
    storage = storage_of(vectors, kind)
    stored = storage.reconstruct_n(0, 3000)
    allowed = np.zeros(3000, bool)
    allowed[np.random.default_rng(passing).choice(3000, passing, replace=False)] = True
    scores, rows = scan_allowed(storage, queries, 10, allowed)
    assert scores.shape == rows.shape == (4, min(10, passing))
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)
    for number, query in enumerate(queries):
        true = stored @ query
        best = np.sort(true[allowed])[::-1][:10]
        np.testing.assert_allclose(scores[number], best, atol=1e-5)
        np.testing.assert_allclose(true[rows[number]], scores[number], atol=1e-5)
        assert allowed[rows[number]].all()
        assert len(set(rows[number])) == len(rows[number])


@pytest.mark.parametrize("kind", STORAGES)
def test_equal_rows_fill_the_places_without_repeating(kind: str) -> None:
    vectors = np.tile(random_vectors(1), (5000, 1))
    scores, rows = scan_allowed(storage_of(vectors, kind), vectors[:1], 30, np.arange(5000) % 150 == 0)
    assert len(set(rows[0])) == 30
    assert (rows % 150 == 0).all()
    np.testing.assert_allclose(scores, scores[0, 0])


@pytest.mark.parametrize("kind", STORAGES)
def test_no_queries_are_no_trouble(kind: str) -> None:
    storage = storage_of(random_vectors(9), kind)
    assert scan_allowed(storage, np.empty((0, 24), np.float32), 3, np.ones(9, bool))[1].shape == (0, 3)
