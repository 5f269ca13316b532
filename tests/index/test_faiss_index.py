"""All layouts against brute force in NumPy."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import faiss
import numpy as np
import pytest

from src.contracts.errors import BundleError, LookalikeError
from src.contracts.settings import INDEX_LAYOUTS
from src.index.faiss_index import FaissIndex
from src.index.layouts import EXACT_BELOW, choose_layout

LAYOUTS = ("exact", "hnsw_fp16")
"""Those that need nothing to learn from, however few vectors there are."""
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
    return vectors, cluster, FaissIndex.build(vectors, layout="hnsw_fp16")


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


@pytest.mark.parametrize("layout", [name for name in INDEX_LAYOUTS if name.startswith(("exact", "hnsw"))])
def test_an_empty_index_and_no_queries_are_no_trouble(layout: str, tmp_path: Path) -> None:
    empty = FaissIndex.build(np.empty((0, DIM), np.float32), layout=layout)
    assert len(empty) == 0
    assert (empty.search(random_vectors(2), 3)[1] == -1).all()
    assert (empty.search(random_vectors(2), 3, np.zeros(0, bool))[1] == -1).all()
    empty.save(tmp_path / "empty")
    for mapped in (False, True):
        assert (FaissIndex.load(tmp_path / "empty", mapped=mapped).search(random_vectors(2), 3)[1] == -1).all()
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


@pytest.fixture(scope="module")
def built() -> tuple[np.ndarray, np.ndarray, dict[str, FaissIndex]]:
    """Clustered vectors, the cluster of each, and an index of every layout over them."""
    vectors, cluster = clustered(3000, 60)
    return vectors, cluster, {layout: FaissIndex.build(vectors, layout=layout) for layout in INDEX_LAYOUTS}


# 8 bits a number cost a little recall.
LEAST = {"fp32": 0.99, "fp16": 0.985, "sq8": 0.95, "exact": 1.0}


@pytest.mark.parametrize("layout", INDEX_LAYOUTS)
def test_every_layout_finds_nearly_all(built: tuple, layout: str) -> None:
    vectors, _, indexes = built
    queries = unit(vectors[:60] + 0.1 * np.random.default_rng(5).standard_normal((60, DIM)))
    index = indexes[layout]
    assert index.layout == layout
    assert recall(index, vectors, queries, 10, None) >= LEAST[layout.rpartition("_")[2]]
    scores, rows = index.search(queries, 10)
    assert (np.diff(scores, axis=1) <= 0).all()
    # The scores are those of the vectors that are stored, not of the codes that found them.
    np.testing.assert_allclose(scores, np.einsum("qkd,qd->qk", vectors[rows], queries), atol=1e-2)


@pytest.mark.parametrize("passing", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("layout", INDEX_LAYOUTS)
def test_every_layout_keeps_its_recall_under_filters_that_follow_content(
    built: tuple, layout: str, passing: float
) -> None:
    vectors, cluster, indexes = built
    allowed = cluster < max(1, round(60 * passing))
    queries = unit(vectors[:40] + 0.1 * np.random.default_rng(6).standard_normal((40, DIM)))
    assert recall(indexes[layout], vectors, queries, 10, allowed) >= 0.95
    _, rows = indexes[layout].search(queries, 10, allowed)
    assert allowed[rows].all()


@pytest.mark.parametrize("layout", INDEX_LAYOUTS)
def test_every_layout_finds_as_many_rows_as_there_are(built: tuple, layout: str) -> None:
    vectors, _, indexes = built
    _, rows = indexes[layout].search(vectors[:2], 3100)
    assert (np.sort(rows[:, :3000], axis=1) == np.arange(3000)).all()
    assert (rows[:, 3000:] == -1).all()
    few = np.zeros(3000, bool)
    few[[5, 2999]] = True
    _, rows = indexes[layout].search(vectors[:2], 4, few)
    assert (np.sort(rows, axis=1) == [-1, -1, 5, 2999]).all()


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("layout", INDEX_LAYOUTS)
def test_every_layout_survives_its_file(built: tuple, tmp_path: Path, layout: str, mapped: bool) -> None:
    vectors, cluster, indexes = built
    index, file = indexes[layout], tmp_path / "index.faiss"
    index.save(file)
    loaded = FaissIndex.load(file, mapped=mapped)
    assert (len(loaded), loaded.dim, loaded.layout, loaded.effort) == (3000, DIM, layout, index.effort)
    # What is open stays what it was when another file takes the name.
    indexes["exact"].save(tmp_path / "other")
    (tmp_path / "other").replace(file)
    for allowed in (None, cluster < 30, cluster < 1):
        found = (each.search(vectors[:9], 5, allowed) for each in (index, loaded))
        for before, after in zip(*found, strict=True):
            np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(index.vectors(np.arange(20)), loaded.vectors(np.arange(20)))


@pytest.mark.parametrize("layout", INDEX_LAYOUTS)
def test_every_layout_is_built_equal_to_the_byte(built: tuple, tmp_path: Path, layout: str) -> None:
    vectors, _, indexes = built
    indexes[layout].save(tmp_path / "a")
    FaissIndex.build(vectors.copy(), layout=layout).save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("storage", "tolerance"), [("fp32", 1e-6), ("fp16", 1e-3), ("sq8", 1e-2)])
def test_every_layout_gives_its_vectors_back(built: tuple, storage: str, tolerance: float) -> None:
    vectors, _, indexes = built
    rows = np.array([2999, 0, 7, 7])
    for name in (name for name in INDEX_LAYOUTS if name.endswith(storage)):
        back = indexes[name].vectors(rows)
        np.testing.assert_allclose(back, vectors[rows], atol=tolerance)
        np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)


def test_effort_is_what_a_search_takes(built: tuple) -> None:
    vectors, _, indexes = built
    efforts = {"exact": set(), "hnsw_sq8": {"ef_search"}, "ivf_sq8": {"nprobe"}, "ivf_pq_sq8": {"nprobe", "k_factor"}}
    for layout, names in efforts.items():
        assert set(indexes[layout].effort) == names
    queries = unit(np.random.default_rng(7).standard_normal((20, DIM)))
    for layout, least, most in (
        ("hnsw_fp32", {"ef_search": 10}, {"ef_search": 400}),
        ("ivf_sq8", {"nprobe": 1}, {"nprobe": 76}),
        ("ivf_pq_fp32", {"nprobe": 76, "k_factor": 1}, {"nprobe": 76, "k_factor": 30}),
        ("ivf_rabitq_fp32", {"nprobe": 76, "k_factor": 1}, {"nprobe": 76, "k_factor": 30}),
    ):
        found = [recall(indexes[layout].with_effort(**effort), vectors, queries, 10, None) for effort in (least, most)]
        assert found[0] < found[1] - 0.05, layout
        assert found[1] > 0.96, layout


def test_a_spawned_process_searches_after_its_parent_did(built: tuple, tmp_path: Path) -> None:
    vectors, _, indexes = built
    expected = indexes["hnsw_fp16"].search(vectors, 10)
    indexes["hnsw_fp16"].save(tmp_path / "index.faiss")
    opened = FaissIndex.load(tmp_path / "index.faiss")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(opened.search, vectors, 10).result(timeout=60)
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("data", [b"", b"not an index", b"IxFI" + b"\0" * 40])
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "index.faiss").write_bytes(data)
    with pytest.raises(BundleError, match="not a readable FAISS index"):
        FaissIndex.load(tmp_path / "index.faiss")
    with pytest.raises(BundleError):
        FaissIndex.load(tmp_path / "absent.faiss")


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
    with pytest.raises(LookalikeError, match="`layout=ivf`: must be one of exact, hnsw_fp32"):
        FaissIndex.build(random_vectors(9), layout="ivf")


@pytest.mark.parametrize("layout", [name for name in INDEX_LAYOUTS if name.startswith("ivf")])
def test_what_has_to_learn_refuses_too_few_vectors(layout: str) -> None:
    with pytest.raises(LookalikeError, match=f"`layout={layout}`: 255 vectors, it needs at least 256"):
        FaissIndex.build(random_vectors(255), layout=layout)


def test_foreign_indexes_are_refused(tmp_path: Path) -> None:
    for name, index in {"l2": faiss.IndexFlatL2(8), "lsh": faiss.IndexLSH(8, 16)}.items():
        faiss.write_index(index, str(tmp_path / name))
        with pytest.raises(BundleError, match="is no layout of ours"):
            FaissIndex.load(tmp_path / name)


def test_the_layout_follows_the_number_of_vectors() -> None:
    assert choose_layout(EXACT_BELOW - 1) == "exact"
    assert choose_layout(EXACT_BELOW) == "hnsw_fp16"
