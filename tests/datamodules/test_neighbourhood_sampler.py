"""Batches around items that are taken for each other."""

from collections import Counter

import numpy as np
import pytest

from src.contracts.errors import ConfigError
from src.datamodules.neighbourhood_sampler import NeighbourhoodSampler
from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet

ITEMS = np.repeat(np.arange(40), 5)
DOMAINS = np.tile([0, 0, 1, 1, 1], 40)
IMAGES = TrainingSet(rows=np.arange(200), items=ITEMS, parents=ITEMS, categories=ITEMS, domains=DOMAINS)


def ring(count: int = 40, reach: int = 6) -> Neighbourhoods:
    """Each item's neighbours are the next ones."""
    owners = np.repeat(np.arange(count), reach)
    found = (owners + np.tile(np.arange(1, reach + 1), count)) % count
    return Neighbourhoods.of_pairs(owners, found, np.ones(len(owners)), item_count=count)


def sampler(**changes: object) -> NeighbourhoodSampler:
    settings: dict = {"p": 8, "k": 3, "seed": 0, "share": 0.5, "neighbourhoods": ring(), **changes}
    return NeighbourhoodSampler(IMAGES, **settings)


def items_of(batch: list[int], k: int = 3) -> list[int]:
    items = ITEMS[batch].reshape(-1, k)
    assert (items == items[:, :1]).all()
    return items[:, 0].tolist()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("neighbourhoods", [None, ring(), ring(reach=1)])
def test_a_batch_has_p_different_items_with_k_images_of_both_domains(
    share: float, neighbourhoods: Neighbourhoods | None
) -> None:
    drawn = sampler(share=share, neighbourhoods=neighbourhoods)
    for epoch in range(3):
        drawn.set_epoch(epoch)
        batches = list(drawn)
        assert len(batches) == len(drawn) == len(ITEMS) // 24
        for batch in batches:
            items = items_of(batch)
            assert len(set(items)) == len(items) == 8
            assert len(set(batch)) == 24
            assert all(set(DOMAINS[batch[start : start + 3]]) == {0, 1} for start in range(0, 24, 3))


def test_half_of_the_items_are_neighbours_of_the_other_half() -> None:
    drawn = sampler()
    for batch in drawn:
        items = items_of(batch)
        assert all((new - anchor) % 40 in range(1, 7) for anchor, new in zip(items[:4], items[4:], strict=True))
    assert drawn.neighbour_share == 0.5


def test_without_neighbours_anchors_fill_the_batch_and_take_turns() -> None:
    drawn = sampler(neighbourhoods=None)
    items = [item for batch in drawn for item in items_of(batch)]
    # 8 batches of 8 draw 64 of 40 items: each once, and most twice.
    assert set(Counter(items).values()) == {1, 2}
    assert len(set(items)) == 40
    assert drawn.neighbour_share == 0


def test_over_epochs_every_item_is_an_anchor_equally_often() -> None:
    drawn = sampler()
    anchors: Counter[int] = Counter()
    for epoch in range(50):
        drawn.set_epoch(epoch)
        for batch in drawn:
            anchors.update(items_of(batch)[:4])
    # 50 epochs of 32 anchors: 40 for each item; an epoch begins a new round.
    assert set(anchors) == set(range(40))
    assert max(anchors.values()) - min(anchors.values()) < 30


def test_a_heavier_neighbour_comes_more_often() -> None:
    table = Neighbourhoods.of_pairs(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 3.0]), item_count=40)
    drawn = sampler(p=2, neighbourhoods=table)
    counts: Counter[int] = Counter()
    for epoch in range(400):
        drawn.set_epoch(epoch)
        counts.update(items[1] for batch in drawn if (items := items_of(batch))[0] == 0)
    total = counts[1] + counts[2]
    assert total == sum(counts.values()) > 200
    assert abs(counts[2] / total - 0.75) < 4 * np.sqrt(0.75 * 0.25 / total)


def test_seed_epoch_and_neighbourhoods_decide_all_draws_and_a_later_start_draws_the_same() -> None:
    def draw(epoch: int, **changes: object) -> list[list[int]]:
        drawn = sampler(**changes)
        drawn.set_epoch(epoch)
        return list(drawn)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert draw(1) != draw(1, seed=1)
    assert draw(1) != draw(1, neighbourhoods=ring(reach=2))
    used = sampler(neighbourhoods=ring(reach=2))
    list(used)
    used.neighbourhoods = ring()
    used.set_epoch(1)
    assert list(used) == list(used) == draw(1)


def test_more_items_a_batch_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`data\.p=41`: a batch of 41 items is larger than the training set of 40"):
        sampler(p=41)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"`sampler\.share="):
        sampler(share=share)
