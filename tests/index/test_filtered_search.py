"""Filters that follow content, against an exact reference."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from benchmarks.filtered_search import FILTERS, PASS_RATES, run
from src.index.faiss_index import FaissIndex
from src.index.filtered_search import filtered_search
from src.index.simulated import Clustered


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The benchmark's own table, small: 12,000 x 64, forty queries."""
    simulated = Clustered(12_000, 64)
    vectors, cluster, queries = simulated.vectors(), simulated.clusters(), simulated.queries(40)[0]
    path: Path = tmp_path_factory.mktemp("index") / "hnsw.faiss"
    FaissIndex.build(vectors, layout="hnsw_fp16", ef_construction=80).save(path)
    # A narrow search, so that the planner takes the graph where half of the rows pass.
    index, graph = FaissIndex.load(path, ef_search=32), faiss.read_index(str(path))
    return run(vectors, cluster, queries, index, graph)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("rate", PASS_RATES)
def test_planned_search_keeps_its_recall(table: dict, kind: str, rate: float) -> None:
    assert np.mean(table[kind, rate]["planned"].recall) >= 0.95


def test_a_bitmap_in_the_graph_does_not(table: dict) -> None:
    """What the planner is there for: else the test above would show nothing."""
    inside = next(name for name in table["far", 0.1] if name.startswith("bitmap"))
    assert np.mean(table["far", 0.1][inside].recall) < 0.5


class Exact:
    """An exact search that counts, in place of a graph."""

    def __init__(self, vectors: np.ndarray, allowed: np.ndarray, most: int) -> None:
        self.vectors, self.allowed, self.most = vectors, allowed, most
        self.depths: list[int] = []
        self.scanned = 0

    def graph(self, queries: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        self.depths.append(depth)
        scores = queries @ self.vectors.T
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        scores = np.take_along_axis(scores, rows, 1)
        # A graph may come back with fewer rows than it was asked for.
        rows[:, self.most :], scores[:, self.most :] = -1, -np.inf
        return scores, rows

    def scan(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self.scanned += len(queries)
        scores = np.where(self.allowed, queries @ self.vectors.T, -np.inf)
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, rows, 1), rows


@pytest.mark.parametrize("kind", ["all", "half", "near", "far", "one", "few", "left half"])
@pytest.mark.parametrize("most", [10**6, 40, 0])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_over_an_exact_graph_the_answer_is_exact_under_any_filter(kind: str, most: int, k: int) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((20_000, 4096 // 512)).astype(np.float32)
    # Long rows are dear to scan, which is what makes the planner take the graph: pad them with zeros.
    vectors = np.pad(vectors, ((0, 0), (0, 504)))
    queries = vectors[:6] + np.float32(0.1)
    scores = (queries @ vectors.T).mean(axis=0)
    order = np.argsort(-scores)
    allowed = np.zeros(len(vectors), bool)
    rows = {
        "all": order,
        "half": rng.permutation(order)[: len(order) // 2],
        "near": order[:9000],
        "far": order[-9000:],
        "one": order[3:4],
        "few": order[::997],
        "left half": np.flatnonzero(vectors[:, 0] < 0),
    }[kind]
    allowed[rows] = True
    exact = Exact(vectors, allowed, most)
    found_scores, found = filtered_search(queries, k, allowed, graph=exact.graph, scan=exact.scan, ef_search=64)
    true_scores, true = exact.scan(queries, min(k, len(rows)))
    np.testing.assert_array_equal(found, true)
    np.testing.assert_allclose(found_scores, true_scores, rtol=1e-6)
    if kind in ("one", "few"):
        assert exact.depths == []
    if kind == "all" and most > 1000:
        assert len(exact.depths) == 1
        assert exact.scanned == len(queries)  # this test's own
    assert len(exact.depths) <= 4
