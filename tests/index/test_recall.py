"""An index is measured against exact search, and a bad one is refused."""

import numpy as np
import pytest

from src.contracts.errors import GateError
from src.index.faiss_index import FaissIndex
from src.index.recall import IndexQuality, check_recall, measure_index


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_exact_search_finds_all() -> None:
    vectors = unit(500, 0)
    quality = measure_index(FaissIndex.build(vectors, layout="exact"), vectors, unit(30, 1))
    assert quality.recall_at_10 == 1
    assert quality.queries == 30
    assert quality.p50_ms > 0
    assert quality.to_dict() == {"recall_at_10": 1.0, "p50_ms": quality.p50_ms, "p99_ms": quality.p99_ms, "queries": 30}
    assert quality.p99_ms >= quality.p50_ms
    check_recall(quality, 1.0)


def test_a_crippled_graph_fails_the_gate_by_what_it_misses() -> None:
    vectors, queries = unit(4000, 0), unit(50, 1)
    index = FaissIndex.build(vectors, layout="hnsw_fp16", m=2, ef_construction=2, ef_search=1)
    quality = measure_index(index, vectors, queries)
    _, found = index.search(queries, 10)
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    expected = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)])
    assert quality.recall_at_10 == pytest.approx(expected, abs=0.005)
    assert quality.recall_at_10 < 0.9
    with pytest.raises(GateError) as caught:
        check_recall(quality, 0.95)
    assert f"recall@10 is {quality.recall_at_10:.4f} on 50 held-out queries" in str(caught.value)
    assert f"off by {0.95 - quality.recall_at_10:.4f}" in str(caught.value)


def test_an_index_over_other_vectors_fails() -> None:
    vectors = unit(500, 0)
    quality = measure_index(FaissIndex.build(unit(500, 7), layout="exact"), vectors, unit(20, 1))
    assert quality.recall_at_10 < 0.2


def test_equal_vectors_are_interchangeable() -> None:
    vectors = np.repeat(unit(3, 0), 40, axis=0)
    shuffled = FaissIndex.build(vectors, layout="hnsw_fp16", ef_search=200)
    assert measure_index(shuffled, vectors, unit(10, 1)).recall_at_10 == 1


def test_fewer_than_ten_vectors_can_be_measured() -> None:
    vectors = unit(1, 0)
    assert measure_index(FaissIndex.build(vectors, layout="hnsw_fp16"), vectors, unit(4, 1)).recall_at_10 == 1


def test_a_recall_that_is_no_number_fails() -> None:
    with pytest.raises(GateError):
        check_recall(IndexQuality(float("nan"), 0.1, 0.1, 0), 0.5)
