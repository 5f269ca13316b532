"""k-reciprocal re-ranking against the authors' procedure, image by image, and against sets on lists full of ties."""

import sys
import tracemalloc

import numpy as np
import pytest

from src.index.reranking.candidates import Candidates
from src.index.reranking.k_reciprocal import k_reciprocal
from tests.index.reranking.lists import make_candidates, shuffled, tied_candidates, unit


def published(candidates: Candidates, row: int, k1: int, k2: int, weight: float) -> np.ndarray:
    """One query as the authors' re_ranking_ranklist.py does it: sorted lists, dense matrices, no ties."""
    vectors = np.concatenate([candidates.queries[row][None], candidates.vectors[row]]).astype(np.float64)
    distance = np.maximum(2 - 2 * vectors @ vectors.T, 0)
    distance = (distance / distance.max(axis=0)).T
    encoding = np.zeros_like(distance)
    order = np.argsort(distance, axis=1)
    count = len(vectors)

    def reciprocal_of(image: int, k: int) -> np.ndarray:
        forward = order[image, : k + 1]
        return forward[[image in order[other, : k + 1] for other in forward]]

    for image in range(count):
        reciprocal = reciprocal_of(image, k1)
        expanded = reciprocal
        for other in reciprocal:
            theirs = reciprocal_of(int(other), int(np.around(k1 / 2)))
            if len(np.intersect1d(theirs, reciprocal)) > 2 / 3 * len(theirs):
                expanded = np.append(expanded, theirs)
        expanded = np.unique(expanded)
        shares = np.exp(-distance[image, expanded])
        encoding[image, expanded] = shares / shares.sum()
    if k2 != 1:
        encoding = np.array([encoding[order[image, :k2]].mean(axis=0) for image in range(count)])
    smaller = np.minimum(encoding[0], encoding).sum(axis=1)
    final = (1 - smaller / (2 - smaller)) * (1 - weight) + distance[0] * weight
    return 1 - final[1:]


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 2, 0.0), (7, 1, 0.5), (1, 3, 1.0), (60, 25, 0.3)])
def test_it_is_the_published_method_where_all_of_the_gallery_is_a_candidate(k1: int, k2: int, weight: float) -> None:
    rng = np.random.default_rng(k1)
    for depth, dim in ((40, 8), (25, 3), (1, 4), (2, 3)):
        candidates = make_candidates(rng, 2, depth, dim)
        done = k_reciprocal(candidates, k1=k1, k2=k2, weight=weight)
        for row in range(2):
            np.testing.assert_allclose(done.scores[row], published(candidates, row, k1, k2, weight), atol=2e-5)


def by_sets(query: np.ndarray, vectors: np.ndarray, k1: int, k2: int, weight: float) -> np.ndarray:
    """The same with sets, in which what ties with a k-th neighbour is a neighbour."""
    everything = np.concatenate([query[None], vectors]).astype(np.float64)
    steps = np.rint(everything @ everything.T * 1e6)
    count = len(everything)
    nearer = (steps[:, None, :] > steps[:, :, None]).sum(axis=2)

    def near(image: int, k: int) -> set[int]:
        return {other for other in range(count) if nearer[image, other] < k}

    def reciprocal_of(image: int, k: int) -> set[int]:
        return {other for other in near(image, k + 1) if image in near(other, k + 1)}

    distance = np.maximum(2 - 2 * everything @ everything.T, 0)
    largest = distance.max(axis=1, keepdims=True)
    distance = np.where(largest > 1e-6, distance / np.maximum(largest, 1e-6), 0)
    encoding = np.zeros((count, count))
    for image in range(count):
        reciprocal = reciprocal_of(image, k1)
        expanded = set(reciprocal)
        for other in reciprocal:
            theirs = reciprocal_of(other, round(k1 / 2))
            if len(theirs & reciprocal) > 2 / 3 * len(theirs):
                expanded |= theirs
        for other in expanded:
            encoding[image, other] = np.exp(-distance[image, other])
        encoding[image] /= encoding[image].sum()
    if k2 > 1:
        encoding = np.array([encoding[sorted(near(image, k2))].mean(axis=0) for image in range(count)])
    shared = np.minimum(encoding[0], encoding).sum(axis=1)
    return (1 - ((1 - shared / (2 - shared)) * (1 - weight) + distance[0] * weight))[1:]


def test_lists_full_of_ties_and_gaps_agree_with_sets() -> None:
    rng = np.random.default_rng(3)
    for _ in range(120):
        candidates = tied_candidates(rng, 2, int(rng.integers(1, 14)), gaps=float(rng.choice([0, 0.3])))
        k1, k2, weight = int(rng.integers(1, 9)), int(rng.integers(1, 5)), float(rng.choice([0, 0.3, 1]))
        done = k_reciprocal(candidates, k1=k1, k2=k2, weight=weight)
        for row, there in enumerate(candidates.present):
            expected = by_sets(candidates.queries[row], candidates.vectors[row][there], k1, k2, weight)
            np.testing.assert_allclose(done.scores[row][there], expected, atol=2e-5)
            assert (done.scores[row][~there] == -np.inf).all()


def test_the_order_of_the_candidates_and_other_queries_decide_nothing() -> None:
    rng = np.random.default_rng(4)
    candidates = tied_candidates(rng, 6, 25, gaps=0.1)
    order = rng.permutation(25)
    done = k_reciprocal(candidates, k1=4, k2=2).scores
    np.testing.assert_allclose(k_reciprocal(shuffled(candidates, order), k1=4, k2=2).scores, done[:, order], atol=1e-6)
    alone = Candidates(candidates.queries[2:3], candidates.vectors[2:3], candidates.scores[2:3])
    np.testing.assert_allclose(k_reciprocal(alone, k1=4, k2=2).scores[0], done[2], atol=1e-6)


def test_images_that_are_all_alike_all_score_the_same() -> None:
    vectors = np.tile(unit(np.random.default_rng(5).standard_normal(32)), (1, 31, 1))
    done = k_reciprocal(Candidates(vectors[:, 0], vectors[:, 1:], np.ones((1, 30), np.float32)))
    np.testing.assert_allclose(done.scores, done.scores[0, 0], atol=1e-6)


def test_memory_is_bounded_by_the_chunk_and_not_by_the_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = make_candidates(np.random.default_rng(6), 60, 100, 4)
    expected = k_reciprocal(candidates).scores
    module = sys.modules[k_reciprocal.__module__]
    monkeypatch.setattr(module, "_CHUNK_BYTES", 4 * 2**20)
    tracemalloc.start()
    scores = k_reciprocal(candidates).scores
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_no_query_is_no_trouble() -> None:
    none = Candidates(np.empty((0, 3), np.float32), np.empty((0, 5, 3), np.float32), np.empty((0, 5), np.float32))
    assert k_reciprocal(none).scores.shape == (0, 5)
