"""Steps of 1e-6 and the k nearest with what ties with them."""

import numpy as np

from src.index.reranking.candidates import in_steps, nearest


def test_steps_are_a_millionth_and_gaps_are_lowest() -> None:
    steps = in_steps(np.array([[0.5, 0.5 + 1e-7, 0.500002, -np.inf, -1.0, 3.0]], np.float32))
    assert steps[0, :3].tolist() == [500_000, 500_000, 500_002]
    assert steps[0, 4:].tolist() == [-1_000_000, 3_000_000]
    assert steps[0, 3] < steps[0, 4]


def test_the_nearest_are_the_k_best_with_ties_and_without_gaps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        scores = rng.integers(0, 5, (3, int(rng.integers(1, 9)))).astype(np.float32)
        scores[rng.random(scores.shape) < 0.2] = -np.inf
        k = int(rng.integers(1, 12))
        chosen = nearest(in_steps(scores), k)
        for row, found in zip(scores, chosen, strict=True):
            for score, is_chosen in zip(row, found, strict=True):
                better = sum(other > score for other in row)
                assert is_chosen == (score > -np.inf and better < k)
