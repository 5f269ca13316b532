"""P x K batches."""

from collections import Counter

import numpy as np
import pytest

from src.contracts.errors import ConfigError
from src.datamodules.pk_sampler import PKSampler


def catalogue(items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = [(n, domain) for n in range(items) for domain in rng.integers(0, 2, rng.integers(1, 9))]
    items_of, domains = rng.permutation(np.array(rows)).T
    return items_of, domains


@pytest.mark.parametrize(("count", "p", "k"), [(7, 7, 2), (10, 3, 4), (50, 8, 1), (5, 4, 3), (1, 1, 4)])
@pytest.mark.parametrize("epoch", [0, 5])
def test_a_batch_has_p_items_with_k_images_each(count: int, p: int, k: int, epoch: int) -> None:
    items, domains = catalogue(count)
    sampler = PKSampler(items, domains, p=p, k=k, seed=0)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler) == max(1, len(items) // (p * k))
    rows_of = Counter(items)
    for batch in batches:
        assert len(batch) == p * k
        groups = [batch[start : start + k] for start in range(0, p * k, k)]
        names = [{items[row] for row in group} for group in groups]
        assert all(len(name) == 1 for name in names)
        assert len(set.union(*names)) == p
        for group in groups:
            times = Counter(group)
            available = rows_of[items[group[0]]]
            # No image again before all of the item's were used.
            assert len(times) == min(k, available)
            assert max(times.values()) - min(times.values()) <= 1


def test_first_images_come_from_different_domains() -> None:
    items, domains = np.repeat([0, 1], [10, 3]), np.repeat([1, 0, 1], [9, 1, 3])
    sampler = PKSampler(items, domains, p=2, k=2, seed=0)
    for epoch in range(20):
        sampler.set_epoch(epoch)
        for batch in sampler:
            for start in (0, 2):
                if items[batch[start]] == 0:
                    assert {domains[row] for row in batch[start : start + 2]} == {0, 1}


def test_items_take_turns_and_all_are_used() -> None:
    items, domains = np.arange(52) // 4, np.full(52, -1)
    sampler = PKSampler(items, domains, p=4, k=2, seed=0)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        drawn = [items[row] for batch in sampler for row in batch[::2]]
        # 6 batches of 4 draw 24 of 13 items: each once, and most twice.
        counts = Counter(drawn)
        assert len(counts) == 13
        assert set(counts.values()) <= {1, 2}
        assert len(set(drawn[:12])) == 12


def test_over_epochs_every_image_is_used() -> None:
    items, domains = catalogue(20)
    sampler = PKSampler(items, domains, p=5, k=3, seed=0)
    seen: set[int] = set()
    for epoch in range(60):
        sampler.set_epoch(epoch)
        seen.update(row for batch in sampler for row in batch)
    assert seen == set(range(len(items)))


def test_seed_and_epoch_decide_all_draws() -> None:
    items, domains = catalogue(20)

    def draw(seed: int, epoch: int) -> list[list[int]]:
        sampler = PKSampler(items, domains, p=5, k=3, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(1, 3)
    assert draw(1, 2) != draw(2, 2)
    sampler = PKSampler(items, domains, p=5, k=3, seed=1)
    sampler.set_epoch(2)
    assert list(sampler) == list(sampler) == draw(1, 2)


def test_more_items_a_batch_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`data\.p=3`: a batch of 3 items is larger than the training set of 2"):
        PKSampler(np.array([0, 1, 1]), np.full(3, -1), p=3, k=1, seed=0)
