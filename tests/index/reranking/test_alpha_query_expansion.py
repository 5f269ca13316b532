"""Alpha query expansion against a loop over one query's results."""

import numpy as np
import pytest

from src.index.reranking.alpha_query_expansion import alpha_query_expansion
from src.index.reranking.candidates import Candidates
from tests.index.reranking.lists import make_candidates, shuffled, tied_candidates, unit


def by_hand(candidates: Candidates, alpha: float, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    queries, scores = [], []
    for query, vectors, found in zip(candidates.queries, candidates.vectors, candidates.scores, strict=True):
        rounded = [round(float(score) * 1e6) if score > -np.inf else None for score in found]
        ordered = sorted((score for score in rounded if score is not None), reverse=True)
        least = ordered[:neighbours][-1] if ordered else 0
        expanded = query.astype(np.float64)
        for vector, score, step in zip(vectors, found, rounded, strict=True):
            if step is not None and step >= least and score > 0:
                expanded = expanded + float(score) ** alpha * vector.astype(np.float64)
        expanded = expanded / np.linalg.norm(expanded)
        queries.append(expanded)
        scores.append(
            [vector @ expanded if step is not None else -np.inf for vector, step in zip(vectors, rounded, strict=True)]
        )
    return np.array(queries), np.array(scores)


@pytest.mark.parametrize("make", [make_candidates, tied_candidates])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_it_agrees_with_a_loop(make: object, gaps: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        size = (int(rng.integers(1, 5)), int(rng.integers(1, 12)))
        candidates = (
            make_candidates(rng, *size, 6, gaps=gaps)
            if make is make_candidates
            else tied_candidates(rng, *size, gaps=gaps)
        )
        alpha, neighbours = float(rng.choice([0.5, 1, 3])), int(rng.integers(1, 8))
        done = alpha_query_expansion(candidates, alpha=alpha, neighbours=neighbours)
        queries, scores = by_hand(candidates, alpha, neighbours)
        np.testing.assert_allclose(done.queries, queries, atol=2e-6)
        np.testing.assert_allclose(done.scores, scores, atol=2e-6)


def test_the_order_of_the_candidates_decides_nothing() -> None:
    rng = np.random.default_rng(2)
    candidates = tied_candidates(rng, 6, 15, gaps=0.2)
    order = rng.permutation(15)
    done = alpha_query_expansion(candidates, neighbours=3).scores[:, order]
    np.testing.assert_allclose(alpha_query_expansion(shuffled(candidates, order), neighbours=3).scores, done, atol=2e-6)


def test_results_on_the_other_side_do_not_count_and_an_empty_list_leaves_the_query() -> None:
    query = unit(np.array([[1.0, 0.0]]))
    opposite = Candidates(query, unit(np.array([[[-1.0, 0.1], [-1.0, 0.0]]])), np.array([[-0.995, -1.0]], np.float32))
    np.testing.assert_allclose(alpha_query_expansion(opposite).queries, query)
    empty = Candidates(query, np.full((1, 2, 2), np.nan, np.float32), np.full((1, 2), -np.inf, np.float32))
    done = alpha_query_expansion(empty)
    np.testing.assert_allclose(done.queries, query)
    assert (done.scores == -np.inf).all()


def test_it_brings_forward_what_resembles_the_first_results() -> None:
    # The positives lie along an arc that leads away from the query; a lone miss is nearer than the last of them.
    angles = np.array([0.3, 0.5, 0.75, -0.7])
    candidates = Candidates(
        np.array([[1.0, 0.0]], np.float32),
        np.stack([np.cos(angles), np.sin(angles)], axis=1)[None].astype(np.float32),
        np.cos(angles)[None].astype(np.float32),
    )
    assert candidates.scores[0, 3] > candidates.scores[0, 2]
    scores = alpha_query_expansion(candidates, alpha=1, neighbours=2).scores[0]
    assert scores[2] > scores[3]
