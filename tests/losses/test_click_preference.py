"""A loss from clicks."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from src.datamodules.click_pairs import ClickPairs
from src.datamodules.training_set import Facts
from src.losses.click_preference import ClickPreference, preference_loss


class Nothing(nn.Module):
    def forward(self, embeddings: Tensor, facts: Facts) -> Tensor:
        return 0 * embeddings.sum()


def slowly(similarities: np.ndarray, judgements: np.ndarray, temperature: float) -> float:
    total = weight = 0.0
    count = len(judgements)
    for i in range(count):
        for j in range(count):
            for k in range(count):
                if judgements[i, j] > 0 > judgements[i, k]:
                    w = judgements[i, j] * -judgements[i, k]
                    total += w * math.log1p(math.exp((similarities[i, k] - similarities[i, j]) / temperature))
                    weight += w
    return total / weight if weight else 0.0


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_against_a_slow_reference(count: int, temperature: float) -> None:
    rng = np.random.default_rng(count)
    similarities = rng.uniform(-1, 1, (count, count))
    judgements = rng.uniform(-1, 1, (count, count)) * (rng.random((count, count)) < 0.6)
    found = preference_loss(torch.from_numpy(similarities), torch.from_numpy(judgements), temperature)
    assert found.item() == pytest.approx(slowly(similarities, judgements, temperature))


def test_without_a_preference_it_is_zero_and_has_a_gradient_of_zero() -> None:
    embeddings = torch.randn(4, 3, requires_grad=True)
    for judgements in (torch.zeros(4, 4), torch.ones(4, 4), -torch.ones(4, 4)):
        loss = preference_loss(embeddings @ embeddings.T, judgements, 0.1)
        assert loss.item() == 0
        loss.backward()
        assert embeddings.grad is not None
        assert not embeddings.grad.any()


def batch(images: list[int], items: list[int]) -> Facts:
    columns = [torch.tensor(values) for values in (items, images, items, items, items)]
    return Facts(*columns)


PAIRS = ClickPairs(np.array([7, 3, 3]), np.array([2, 0, 1]), np.array([0.5, -0.25, 1.0], np.float32))


def test_judgements_are_of_the_image_and_the_item_and_the_own_item_is_liked() -> None:
    term = ClickPreference(Nothing(), PAIRS, item_count=5, weight=1.0, temperature=0.1)
    # Image 3 is of item 4, and image 7 is of item 1; image 3 comes twice.
    found = term.judgements(batch([3, 7, 8, 9, 3], [4, 1, 2, 0, 4]))
    expected = [
        [0, 1.0, 0, -0.25, 0],
        [0, 0, 0.5, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 1.0, 0, -0.25, 0],
    ]
    assert found.tolist() == expected
    own = term.judgements(batch([3, 5, 9], [4, 4, 0]))
    assert own.tolist() == [[0, 1, -0.25], [1, 0, 0], [0, 0, 0]]


def test_no_pairs_at_all_judge_nothing() -> None:
    empty = ClickPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    term = ClickPreference(Nothing(), empty, item_count=5, weight=1.0, temperature=0.1)
    facts = batch([3, 7], [4, 1])
    assert not term.judgements(facts).any()
    assert term(torch.eye(2), facts).item() == 0


def test_training_by_it_moves_what_was_passed_over_away_and_the_objective_counts_beside_it() -> None:
    torch.manual_seed(0)
    free = nn.Parameter(torch.randn(4, 8))
    facts = batch([3, 5, 9, 6], [4, 4, 0, 1])
    term = ClickPreference(Nothing(), PAIRS, item_count=5, weight=1.0, temperature=0.1)
    optimizer = torch.optim.SGD([free], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        term(nn.functional.normalize(free), facts).backward()
        optimizer.step()
    unit = nn.functional.normalize(free.detach())
    similarities = unit @ unit.T
    assert similarities[0, 1] > similarities[0, 2] + 0.3
    assert similarities[0, 3] > similarities[0, 2] + 0.3

    class One(nn.Module):
        def forward(self, embeddings: Tensor, facts: Facts) -> Tensor:
            return torch.tensor(1.0)

    alone = ClickPreference(Nothing(), PAIRS, item_count=5, weight=1.0, temperature=0.1)(unit, facts)
    both = ClickPreference(One(), PAIRS, item_count=5, weight=3.0, temperature=0.1)(unit, facts)
    torch.testing.assert_close(both, 1 + 3 * alone)


def test_its_part_is_logged_beside_the_objective_s() -> None:
    class Parted(Nothing):
        parts = {"triplet": torch.tensor(0.5)}  # noqa: RUF012

    term = ClickPreference(Parted(), PAIRS, item_count=5, weight=3.0, temperature=0.1)
    value = term(torch.eye(4).bfloat16(), batch([3, 5, 9, 6], [4, 4, 0, 1]))
    assert set(term.parts) == {"triplet", "clicks"}
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, 3 * term.parts["clicks"])


def test_the_log_is_no_part_of_a_checkpoint() -> None:
    assert not ClickPreference(Nothing(), PAIRS, item_count=5, weight=1.0, temperature=0.1).state_dict()
