"""Diagnostics against loops over pairs and triplets, and on batches that have collapsed."""

import math

import numpy as np
import pytest
import torch

from src.losses.diagnostics import diagnose


def slow(embeddings: np.ndarray, items: list[int], margin: float) -> dict[str, float]:
    """The same by loops, in float64; the spread from the eigenvalues themselves."""
    count = len(items)
    distance = [[float(np.linalg.norm(a - b)) for b in embeddings] for a in embeddings]
    active = [
        distance[a][n] < distance[a][p] + margin
        for a in range(count)
        for p in range(count)
        for n in range(count)
        if a != p and items[a] == items[p] and items[a] != items[n]
    ]
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    eigenvalues = np.linalg.eigvalsh(np.cov(embeddings.T, bias=True)) if count > 1 else np.zeros(1)
    total = eigenvalues.sum()
    return {
        "active_triplets": mean(active),
        "positive_distance": mean([distance[a][b] for a, b in pairs if items[a] == items[b]]),
        "negative_distance": mean([distance[a][b] for a, b in pairs if items[a] != items[b]]),
        "mean_cosine": mean([float(embeddings[a] @ embeddings[b]) for a, b in pairs]),
        "uniformity": math.log(mean([math.exp(-2 * distance[a][b] ** 2) for a, b in pairs])) if pairs else math.nan,
        "effective_rank": total**2 / (eigenvalues**2).sum() if total > 1e-6 else 0.0,
    }


def mean(values: list) -> float:
    return sum(values) / len(values) if values else math.nan


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


RNG = np.random.default_rng(0)
BATCHES = {
    "random": (unit(RNG.normal(size=(12, 5))), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
    "uneven": (unit(RNG.normal(size=(7, 4))), [0, 0, 0, 0, 1, 2, 2]),
    "opposite": (np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]), [0, 0, 1, 1]),
    "collapsed": (np.tile(unit(np.array([[0.3, -0.2, 0.9]])), (6, 1)), [0, 0, 1, 1, 2, 2]),
    "one item": (unit(RNG.normal(size=(4, 3))), [5, 5, 5, 5]),
    "no positives": (unit(RNG.normal(size=(4, 3))), [1, 2, 3, 4]),
    "one image": (unit(RNG.normal(size=(1, 3))), [0]),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("margin", [0.0, 0.1, 5.0])
def test_each_figure_is_what_loops_find(name: str, margin: float) -> None:
    embeddings, items = BATCHES[name]
    found = diagnose(torch.tensor(embeddings, dtype=torch.float32), torch.tensor(items), margin)
    expected = slow(embeddings, items, margin)
    assert list(found) == list(expected)
    for figure, value in found.items():
        assert value.shape == ()
        # Distances near 0 are the root of a rounding error.
        assert float(value) == pytest.approx(expected[figure], rel=1e-4, abs=2e-3, nan_ok=True), figure


def test_a_collapsing_encoder_shows() -> None:
    items = torch.arange(64) // 4
    noise = torch.randn(64, 32, generator=torch.Generator().manual_seed(1))
    spread = diagnose(torch.nn.functional.normalize(noise), items, 0.1)
    line = torch.nn.functional.normalize(torch.tensor([[1.0] + [0.0] * 31]) + 1e-5 * noise)
    collapsed = diagnose(line, items, 0.1)
    assert float(spread["effective_rank"]) > 15
    assert float(collapsed["effective_rank"]) == 0
    assert float(collapsed["mean_cosine"]) > 0.999 > float(spread["mean_cosine"])
    assert float(collapsed["uniformity"]) > -1e-3 > float(spread["uniformity"])
    assert float(collapsed["active_triplets"]) == 1


def test_nothing_flows_back_and_bf16_is_measured_in_full() -> None:
    embeddings, items = BATCHES["random"]
    raw = torch.tensor(embeddings, dtype=torch.float32, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = diagnose(raw, torch.tensor(items), 0.1)
    assert not any(value.requires_grad for value in found.values())
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert float(found["mean_cosine"]) == pytest.approx(slow(embeddings, items, 0.1)["mean_cosine"], abs=1e-6)
