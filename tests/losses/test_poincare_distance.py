"""The hyperbolic distance against the published one: clip, exponential map, Moebius addition."""

import numpy as np
import pytest
import torch

from src.contracts.errors import ConfigError
from src.losses.info_nce import InfoNCE
from src.losses.poincare_distance import PoincareDistance
from tests.losses.batches import CONSTANT, FACTS, embeddings


def ball_distance(x: np.ndarray, y: np.ndarray, c: float, radius: float) -> float:
    """Of two features of any length, as the paper's equations 1 to 3 and its feature clipping have it; float64."""

    def into_ball(feature: np.ndarray) -> np.ndarray:
        clipped = feature * min(1.0, radius / np.linalg.norm(feature))
        norm = np.sqrt(c) * np.linalg.norm(clipped)
        return np.tanh(norm) * clipped / norm

    u, v = -into_ball(x), into_ball(y)
    uv, uu, vv = u @ v, u @ u, v @ v
    added = ((1 + 2 * c * uv + c * vv) * u + (1 - c * uu) * v) / (1 + 2 * c * uv + c * c * uu * vv)
    return 2 / np.sqrt(c) * np.arctanh(np.sqrt(c) * np.linalg.norm(added))


@pytest.mark.parametrize(("c", "radius"), [(0.1, 2.3), (1.0, 1.0), (0.01, 2.3)])
def test_long_features_have_the_published_distance(c: float, radius: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 6))
    y[0] = -x[0]
    y[1] = x[1] + 0.1 * y[1]
    # At least as long as the clip.
    x, y = (3 * radius * (part / np.linalg.norm(part, axis=1, keepdims=True)) for part in (x, y))
    distance = PoincareDistance(c, radius)
    expected = np.array([[ball_distance(a, b, c, radius) for b in y] for a in x])
    np.testing.assert_allclose(distance(torch.from_numpy(x), torch.from_numpy(y)).numpy(), expected, rtol=1e-9)
    rows = distance.pairwise_distance(*(torch.nn.functional.normalize(torch.from_numpy(part)) for part in (x, y)))
    np.testing.assert_allclose(rows.numpy(), expected.diagonal(), rtol=1e-6)


def test_it_ranks_as_cosine_does() -> None:
    vectors = embeddings(40).detach()
    cosines, distances = vectors @ vectors.T, PoincareDistance()(vectors)
    assert torch.equal(cosines.argsort(dim=1, descending=True, stable=True)[:, 1:], distances.argsort(dim=1)[:, 1:])


@pytest.mark.parametrize("batch", FACTS)
def test_infonce_over_it_is_the_cross_entropy_of_negated_distances(batch: str) -> None:
    items, vectors = FACTS[batch].items, embeddings(12)
    value = InfoNCE(0.2, PoincareDistance())(vectors, items)
    logits = -PoincareDistance()(vectors.detach().double()) / 0.2
    losses = []
    for a, p in [(a, p) for a in range(12) for p in range(12) if a != p and items[a] == items[p]]:
        against = [n for n in range(12) if items[n] != items[a]]
        if against:
            losses.append(torch.logsumexp(logits[a, [p, *against]], dim=0) - logits[a, p])
        else:
            losses.append(torch.zeros((), dtype=torch.float64))
    expected = torch.stack(losses).mean() if losses else torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)


def test_two_images_a_item_are_the_published_loss() -> None:
    """Pairwise cross-entropy of the authors' code: logits01 beside logits00 without its diagonal, both ways."""
    vectors = embeddings(12).detach()
    items = torch.arange(12) // 2
    first, second = vectors[::2], vectors[1::2]
    distance = PoincareDistance()

    def one_way(x0: torch.Tensor, x1: torch.Tensor) -> torch.Tensor:
        own = -distance(x0, x0) / 0.2 - 1e9 * torch.eye(6)
        return torch.nn.functional.cross_entropy(torch.cat([-distance(x0, x1) / 0.2, own], dim=1), torch.arange(6))

    expected = (one_way(first, second) + one_way(second, first)) / 2
    torch.testing.assert_close(InfoNCE(0.2, distance)(vectors, items), expected)


def test_equal_embeddings_have_a_finite_gradient() -> None:
    vectors = CONSTANT[:6].clone().requires_grad_()
    InfoNCE(0.2, PoincareDistance())(vectors, torch.arange(6) // 2).backward()
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("arguments", [(0.0, 2.3), (0.1, -1.0), (float("inf"), 1.0)])
def test_what_is_no_ball_is_refused(arguments: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"`loss\.distance\.(curvature|radius)=.*must be finite and above 0"):
        PoincareDistance(*arguments)
