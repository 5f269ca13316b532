"""Exact and HNSW search against brute force in NumPy."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from src.contracts.errors import BundleError, LookalikeError
from src.index.faiss_index import EXACT_BELOW, FaissIndex, choose_layout

LAYOUTS = ("exact", "hnsw")
DIM = 32


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_vectors(rows: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((rows, dim)))


def clustered(rows: int, clusters: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, DIM))
    cluster = rng.integers(0, clusters, rows)
    return unit(centres[cluster] + 0.5 * rng.standard_normal((rows, DIM))), cluster


def brute_force(vectors: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple:
    scores = [(float(np.dot(vector.astype(np.float64), query)), -row) for row, vector in enumerate(vectors)]
    kept = [pair for pair in scores if allowed is None or allowed[-pair[1]]]
    best = sorted(kept, reverse=True)[:k]
    return np.array([score for score, _ in best]), np.array([-row for _, row in best])


def recall(index: FaissIndex, vectors: np.ndarray, queries: np.ndarray, k: int, allowed: np.ndarray | None) -> float:
    _, rows = index.search(queries, k, allowed)
    shares = []
    for found, query in zip(rows, queries, strict=True):
        _, true = brute_force(vectors, query, k, allowed)
        shares.append(len(set(found) & set(true)) / len(true))
    return float(np.mean(shares))


@pytest.fixture(scope="module")
def content() -> tuple[np.ndarray, np.ndarray, FaissIndex]:
    """Clustered vectors, the cluster of each, and an HNSW index over them."""
    vectors, cluster = clustered(6000, 1000)
    return vectors, cluster, FaissIndex.build(vectors, layout="hnsw")


def test_exact_search_is_brute_force() -> None:
    vectors, queries = random_vectors(300), random_vectors(20, seed=1)
    scores, rows = FaissIndex.build(vectors, layout="exact").search(queries, 7)
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)
    for query in range(20):
        true_scores, true_rows = brute_force(vectors, queries[query], 7)
        np.testing.assert_array_equal(rows[query], true_rows)
        np.testing.assert_allclose(scores[query], true_scores, atol=1e-6)


def test_hnsw_finds_nearly_all_of_it(content: tuple) -> None:
    vectors, _, index = content
    queries = clustered(50, 1000, seed=0)[0]
    assert recall(index, vectors, queries, 10, None) >= 0.98
    scores, rows = index.search(queries, 10)
    assert (np.diff(scores, axis=1) <= 0).all()
    exact = np.einsum("qkd,qd->qk", vectors[rows], queries)
    np.testing.assert_allclose(scores, exact, atol=2e-3)


@pytest.mark.parametrize("passing", [0.5, 0.31, 0.29, 0.1, 0.01, 0.001])
def test_hnsw_keeps_its_recall_under_filters_that_follow_content(content: tuple, passing: float) -> None:
    vectors, cluster, index = content
    allowed = cluster < 1000 * passing
    assert 0.5 * passing < allowed.mean() < 1.7 * passing
    rng = np.random.default_rng(2)
    # Queries from anywhere: most of them are far from all that passes.
    queries = unit(vectors[rng.choice(len(vectors), 40, replace=False)] + 0.1 * rng.standard_normal((40, DIM)))
    assert recall(index, vectors, queries, 10, allowed) >= 0.95
    _, rows = index.search(queries, 10, allowed)
    assert allowed[rows[rows >= 0]].all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_not_found_is_padded(layout: str) -> None:
    vectors = random_vectors(5)
    index = FaissIndex.build(vectors, layout=layout)
    scores, rows = index.search(vectors[:2], 8)
    assert scores.shape == rows.shape == (2, 8)
    assert (np.sort(rows[:, :5], axis=1) == np.arange(5)).all()
    assert (rows[:, 5:] == -1).all()
    assert (scores[:, 5:] == -np.inf).all()
    allowed = np.array([False, True, False, False, True])
    scores, rows = index.search(vectors[:2], 4, allowed)
    assert (np.sort(rows[:, :2], axis=1) == [1, 4]).all()
    assert (rows[:, 2:] == -1).all()
    assert (scores[:, 2:] == -np.inf).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_passes_nothing_is_found(layout: str) -> None:
    index = FaissIndex.build(random_vectors(9), layout=layout)
    scores, rows = index.search(random_vectors(3), 2, np.zeros(9, bool))
    assert (rows == -1).all()
    assert (scores == -np.inf).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_index_and_no_queries_are_no_trouble(layout: str) -> None:
    empty = FaissIndex.build(np.empty((0, DIM), np.float32), layout=layout)
    assert len(empty) == 0
    assert (empty.search(random_vectors(2), 3)[1] == -1).all()
    assert (empty.search(random_vectors(2), 3, np.zeros(0, bool))[1] == -1).all()
    index = FaissIndex.build(random_vectors(9), layout=layout)
    assert index.search(np.empty((0, DIM), np.float32), 3)[1].shape == (0, 3)
    assert index.search(random_vectors(2), 0)[1].shape == (2, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_single_vector_is_found(layout: str) -> None:
    vectors = random_vectors(1)
    scores, rows = FaissIndex.build(vectors, layout=layout).search(vectors, 1)
    assert rows.tolist() == [[0]]
    assert scores[0, 0] == pytest.approx(1, abs=1e-3)


def test_more_rows_than_ef_search_are_found(content: tuple) -> None:
    vectors, _, index = content
    _, rows = index.search(vectors[:3], 300)
    assert (rows >= 0).all()
    assert all(len(set(found)) == 300 for found in rows)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_index_survives_its_file(tmp_path: Path, layout: str) -> None:
    vectors, queries = random_vectors(400), random_vectors(10, seed=1)
    index = FaissIndex.build(vectors, layout=layout)
    index.save(tmp_path / "index.faiss")
    loaded = FaissIndex.load(tmp_path / "index.faiss", ef_search=64)
    assert (len(loaded), loaded.dim, loaded.layout) == (400, DIM, layout)
    for before, after in zip(index.search(queries, 5), loaded.search(queries, 5), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("data", [b"", b"not an index", b"IxFI" + b"\0" * 40])
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "index.faiss").write_bytes(data)
    with pytest.raises(BundleError, match="not a readable FAISS index"):
        FaissIndex.load(tmp_path / "index.faiss")
    with pytest.raises(BundleError):
        FaissIndex.load(tmp_path / "absent.faiss")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_builds_are_equal_to_the_byte(tmp_path: Path, layout: str) -> None:
    vectors = random_vectors(1500)
    for name in "ab":
        FaissIndex.build(vectors.copy(), layout=layout).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("layout", "tolerance"), [("exact", 1e-6), ("hnsw", 1e-3)])
def test_vectors_come_back(layout: str, tolerance: float) -> None:
    vectors = random_vectors(50)
    rows = np.array([49, 0, 7, 7])
    back = FaissIndex.build(vectors, layout=layout).vectors(rows)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, vectors[rows], atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("passing", [None, 0.5, 0.1])
def test_threads_find_what_one_thread_finds(content: tuple, passing: float | None) -> None:
    vectors, cluster, index = content
    rng = np.random.default_rng(3)

    def work(query: int) -> list[int]:
        # Each thread has its own filter: one bitmap must not be read for another.
        allowed = None if passing is None else (cluster + query) % 1000 < 1000 * passing
        return index.search(vectors[query][None], 10, allowed)[1][0].tolist()

    chosen = rng.integers(0, len(vectors), 200).tolist()
    alone = [work(query) for query in chosen]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, chosen)) == alone


def test_arguments_that_do_not_fit_are_refused() -> None:
    index = FaissIndex.build(random_vectors(9), layout="exact")
    with pytest.raises(LookalikeError, match="query vectors have 8 numbers, the index has 32"):
        index.search(random_vectors(1, dim=8), 1)
    with pytest.raises(LookalikeError, match=r"`allowed` has shape \(8,\), the index has 9 rows"):
        index.search(random_vectors(1), 1, np.ones(8, bool))
    with pytest.raises(LookalikeError, match="`layout=ivf`"):
        FaissIndex.build(random_vectors(9), layout="ivf")


def test_the_layout_follows_the_number_of_vectors() -> None:
    assert choose_layout(EXACT_BELOW - 1) == "exact"
    assert choose_layout(EXACT_BELOW) == "hnsw"
