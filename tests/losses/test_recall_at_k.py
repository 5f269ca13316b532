"""The Recall@k surrogate against loops, against Recall@k itself, and its gradient against differences."""

import numpy as np
import pytest
import torch

from src.contracts.errors import ConfigError
from src.losses.recall_at_k import RecallAtKSurrogate
from tests.losses import slow_losses
from tests.losses.batches import CONSTANT, FACTS, embeddings

TIES = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]] * 3))


@pytest.mark.parametrize("ks", [(1,), (1, 2, 4, 8, 16), (3, 100)], ids=str)
@pytest.mark.parametrize("vectors", [embeddings(12), CONSTANT, TIES], ids=["random", "constant", "ties"])
@pytest.mark.parametrize("batch", FACTS)
def test_it_is_what_loops_find(batch: str, vectors: torch.Tensor, ks: tuple[int, ...]) -> None:
    items = FACTS[batch].items
    vectors = torch.nn.functional.normalize(vectors.detach().double())
    same = (items[:, None] == items).numpy()
    positive, negative = same & ~np.eye(12, dtype=bool), ~same
    for rank, count in ((0.01, 1.0), (0.5, 3.0)):
        loss = RecallAtKSurrogate(ks, rank_temperature=rank, count_temperature=count)
        expected = slow_losses.recall_at_k((vectors @ vectors.T).numpy(), positive, negative, ks, rank, count)
        assert float(loss(vectors, items)) == pytest.approx(expected, abs=1e-9)


def test_sharp_sigmoids_give_recall_at_k_itself() -> None:
    items, vectors = FACTS["uneven"].items, embeddings(12, dtype=torch.float64).detach()
    same = items[:, None] == items
    cosine = (vectors @ vectors.T).fill_diagonal_(-torch.inf)
    for k in (1, 2, 5):
        nearest = cosine.topk(k).indices
        found = same.gather(1, nearest).sum(dim=1)
        positives = same.sum(dim=1) - 1
        asked = positives > 0
        recall = (found[asked] / positives[asked].clamp(max=k)).mean()
        loss = RecallAtKSurrogate((k,), rank_temperature=1e-6, count_temperature=1e-3)
        sharp = float(loss(vectors, items))
        # A rank of exactly k counts half; so compare with the mean of the strict and the lenient count.
        strict = same.gather(1, nearest[:, : k - 1]).sum(dim=1) if k > 1 else torch.zeros(12)
        half = ((strict + found)[asked] / 2 / positives[asked].clamp(max=k)).mean()
        assert sharp == pytest.approx(1 - float(half), abs=1e-6)
        assert 1 - sharp <= float(recall) + 1e-6


@pytest.mark.parametrize("batch", ["everything known", "uneven", "one item"])
def test_the_gradient_is_that_of_differences(batch: str) -> None:
    items = FACTS[batch].items
    loss = RecallAtKSurrogate((1, 2, 4), rank_temperature=0.2)
    vectors = embeddings(12, dtype=torch.float64).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, items), (vectors,))


def test_no_positives_cost_nothing() -> None:
    vectors = embeddings(12)
    value = RecallAtKSurrogate()(vectors, torch.arange(12))
    value.backward()
    assert value.detach() == 0
    assert (vectors.grad == 0).all()


def test_descending_it_finds_the_neighbours() -> None:
    items = torch.arange(24) // 3
    raw = embeddings(24, 8).detach().requires_grad_()
    loss = RecallAtKSurrogate((1, 2), rank_temperature=0.1)
    for _ in range(60):
        (gradient,) = torch.autograd.grad(loss(raw, items), raw)
        raw.data -= 5 * gradient
    cosine = torch.nn.functional.normalize(raw.detach())
    nearest = (cosine @ cosine.T).fill_diagonal_(-1).argmax(dim=1)
    assert (items[nearest] == items).float().mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ks": ()}, r"loss\.ks=\[\]"),
        ({"ks": (0, 1)}, r"loss\.ks=\[0, 1\]"),
        ({"rank_temperature": 0.0}, r"loss\.rank_temperature=0\.0"),
        ({"count_temperature": -1.0}, r"loss\.count_temperature=-1\.0"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        RecallAtKSurrogate(**arguments)
