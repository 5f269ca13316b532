"""P x K batches, whatever the catalogue is like."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.contracts.errors import ConfigError
from src.datamodules.pk_sampler import PKSampler
from src.datamodules.training_set import TrainingSet

CATALOGUE, USER = 0, 1


def images_of(
    items: np.ndarray,
    domains: np.ndarray | None = None,
    *,
    categories: np.ndarray | None = None,
    parents: np.ndarray | None = None,
) -> TrainingSet:
    """A training set; categories and parents are those of each item."""
    unknown = np.full(len(items), -1)
    return TrainingSet(
        rows=np.arange(len(items)),
        items=np.asarray(items),
        parents=np.asarray(items) if parents is None else parents[items],
        categories=unknown if categories is None else categories[items],
        domains=unknown if domains is None else np.asarray(domains),
    )


def catalogue(items: int, seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    rows = [(n, domain) for n in range(items) for domain in rng.integers(0, 2, rng.integers(1, 9))]
    items_of, domains = rng.permutation(np.array(rows)).T
    return images_of(items_of, domains)


def items_of_batches(sampler: PKSampler, images: TrainingSet, k: int) -> Iterator[list[int]]:
    for batch in sampler:
        yield images.items[batch[::k]].tolist()


@pytest.mark.parametrize(("count", "p", "k"), [(7, 7, 2), (10, 3, 4), (50, 8, 1), (5, 4, 3), (1, 1, 4)])
@pytest.mark.parametrize("epoch", [0, 5])
def test_a_batch_has_p_items_with_k_images_each(count: int, p: int, k: int, epoch: int) -> None:
    images = catalogue(count)
    sampler = PKSampler(images, p=p, k=k, seed=0)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler) == max(1, len(images) // (p * k))
    rows_of = Counter(images.items)
    for batch in batches:
        assert len(batch) == p * k
        groups = [batch[start : start + k] for start in range(0, p * k, k)]
        names = [{images.items[row] for row in group} for group in groups]
        assert all(len(name) == 1 for name in names)
        assert len(set.union(*names)) == p
        for group in groups:
            times = Counter(group)
            available = rows_of[images.items[group[0]]]
            # No image again before all of the item's were used.
            assert len(times) == min(k, available)
            assert max(times.values()) - min(times.values()) <= 1


@st.composite
def ugly(draw: st.DrawFn) -> tuple[TrainingSet, dict]:
    """Catalogues of single images, of one category, without domains or parents, and what a batch may be of them."""
    count = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    items = np.array(draw(st.permutations(np.repeat(np.arange(count), sizes).tolist())))
    kinds = draw(st.sampled_from([[-1], [0], [1], [0, 1], [-1, 0, 1]]))
    domains = np.array(draw(st.lists(st.sampled_from(kinds), min_size=len(items), max_size=len(items))))
    groups = draw(st.sampled_from([[-1], [0], [0, 1], [-1, 0, 1, 2]]))
    categories = np.array(draw(st.lists(st.sampled_from(groups), min_size=count, max_size=count)))
    parents = np.array(draw(st.lists(st.integers(0, count - 1), min_size=count, max_size=count)))
    p, k = draw(st.integers(1, count)), draw(st.integers(2, 5))
    arguments = {
        "p": p,
        "k": k,
        "by": draw(st.sampled_from([None, "category", "parent"])),
        "together": draw(st.integers(1, p)),
        "user_share": draw(st.sampled_from([None, 0.01, 0.5, 0.75, 0.99])),
        "repeat": draw(st.booleans()),
        "seed": draw(st.integers(0, 3)),
    }
    return images_of(items, domains, categories=categories, parents=parents), arguments


@given(case=ugly())
@settings(max_examples=80, deadline=None)
def test_every_sampler_keeps_the_contract_on_every_catalogue(case: tuple[TrainingSet, dict]) -> None:
    images, arguments = case
    p, k = arguments["p"], arguments["k"]
    sampler = PKSampler(images, **arguments)
    drawn: list[list[int]] = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) >= 1
        assert batches == list(sampler)
        drawn += batches
    for batch in drawn:
        items = images.items[batch].reshape(p, k)
        assert (items == items[:, :1]).all()
        assert len(set(items[:, 0])) == p
    again = PKSampler(images, **arguments)
    again.set_epoch(2)
    assert list(again) == drawn[-len(batches) :]
    # In a run of two processes each takes its half of the items, and together they have the batch.
    if p % 2 == 0:
        halves = [[batch[: p * k // 2], batch[p * k // 2 :]] for batch in drawn]
        assert all(not set(images.items[one]) & set(images.items[other]) for one, other in halves)


@given(case=ugly())
@settings(max_examples=40, deadline=None)
def test_items_take_turns_on_every_catalogue(case: tuple[TrainingSet, dict]) -> None:
    images, arguments = case
    # One image of each, many times over: an epoch of several rounds.
    arguments["k"], arguments["user_share"] = 1, None
    many = TrainingSet(
        *(np.tile(column, 6) for column in (images.rows, images.items, images.parents, images.categories)),
        np.full(6 * len(images), -1),
    )
    drawn = [item for batch in items_of_batches(PKSampler(many, **arguments), many, 1) for item in batch]
    count = images.item_count
    counts = np.bincount(drawn, minlength=count)
    assert counts.max() - counts.min() <= 2
    assert len(set(drawn[:count])) == min(count, len(drawn))


def test_first_images_come_from_different_domains() -> None:
    images = images_of(np.repeat([0, 1], [10, 3]), np.repeat([1, 0, 1], [9, 1, 3]))
    sampler = PKSampler(images, p=2, k=2, seed=0)
    for epoch in range(20):
        sampler.set_epoch(epoch)
        for batch in sampler:
            for start in (0, 2):
                if images.items[batch[start]] == 0:
                    assert {images.domains[row] for row in batch[start : start + 2]} == {0, 1}


@pytest.mark.parametrize("changes", [{}, {"user_share": 0.5}], ids=str)
def test_apart_an_item_s_images_are_of_as_many_sequences_as_it_has(changes: dict) -> None:
    rng = np.random.default_rng(0)
    items = np.repeat(np.arange(6), 30)
    # Item n has n sequences and one image of none, or nothing but single images.
    sequences = np.array([100 * item + rng.integers(item) if item else -1 for item in items])
    sequences[29::30] = -1
    images = replace(images_of(items), sequences=sequences)
    k = 4
    for apart in (True, False):
        sampler = PKSampler(images, p=3, k=k, seed=0, apart=apart, **changes)
        used, fewest = set(), k
        for epoch in range(20):
            sampler.set_epoch(epoch)
            for batch in sampler:
                used |= {*batch}
                for drawn in np.reshape(batch, (-1, k)):
                    of = [sequences[row] if sequences[row] >= 0 else -1 - row for row in drawn]
                    assert len({*drawn.tolist()}) == k
                    item = items[drawn[0]]
                    wanted = k if item == 0 else min(k, item + 1)
                    fewest = min(fewest, k + len({*of}) - wanted)
        assert used == {*range(len(items))}
        assert (fewest == k) == apart


def test_items_take_turns_and_all_are_used() -> None:
    images = images_of(np.arange(52) // 4)
    sampler = PKSampler(images, p=4, k=2, seed=0)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        drawn = [item for batch in items_of_batches(sampler, images, 2) for item in batch]
        # 6 batches of 4 draw 24 of 13 items: each once, and most twice.
        counts = Counter(drawn)
        assert len(counts) == 13
        assert set(counts.values()) <= {1, 2}
        assert len(set(drawn[:12])) == 12


@pytest.mark.parametrize("changes", [{}, {"user_share": 0.5}, {"by": "category", "together": 3}])
def test_over_epochs_every_image_is_used(changes: dict) -> None:
    images = catalogue(20)
    sampler = PKSampler(images, p=5, k=3, seed=0, **changes)
    seen: set[int] = set()
    for epoch in range(60):
        sampler.set_epoch(epoch)
        seen.update(row for batch in sampler for row in batch)
    assert seen == set(range(len(images)))


def test_seed_and_epoch_decide_all_draws() -> None:
    images = catalogue(20)

    def draw(seed: int, epoch: int) -> list[list[int]]:
        sampler = PKSampler(images, p=5, k=3, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(1, 3)
    assert draw(1, 2) != draw(2, 2)


def test_by_category_a_batch_has_few_of_them() -> None:
    categories = np.arange(120) % 12
    images = images_of(np.repeat(np.arange(120), 8), categories=categories)

    def spread(**changes: object) -> np.ndarray:
        sampler = PKSampler(images, p=16, k=2, seed=0, **changes)
        return np.array([len(set(categories[batch])) for batch in items_of_batches(sampler, images, 2)])

    assert spread().mean() > 8
    # Ten items a category: eight, and the two that are left come somewhere as a pair.
    halves = spread(by="category", together=8)
    assert halves.mean() < 5
    assert spread(by="category", together=16).mean() < 3.5


def test_variants_of_a_parent_come_together_beside_others() -> None:
    parents = np.concatenate([np.arange(40) // 4, np.arange(10, 30)])
    images = images_of(np.repeat(np.arange(60), 4), parents=parents)
    sampler = PKSampler(images, p=10, k=2, seed=0, by="parent", together=2)
    parted = alone = 0
    for batch in items_of_batches(sampler, images, 2):
        for parent, count in Counter(parents[batch]).items():
            if parent < 10:
                parted += count % 2
            else:
                alone += 1
        assert len(set(parents[batch])) >= 3
    assert alone > 0
    # Only where a round ends.
    assert parted <= 2


@pytest.mark.parametrize(
    ("user_share", "repeat", "expected"),
    [
        # One catalogue image and nine photos; three and three; photos only.
        (0.5, False, [(1, 3), (2, 2), (0, 3)]),
        (0.5, True, [(2, 2), (2, 2), (0, 3)]),
        (0.75, True, [(1, 3), (1, 3), (0, 3)]),
        (0.01, False, [(1, 3), (3, 1), (0, 3)]),
        (0.99, False, [(1, 3), (1, 3), (0, 3)]),
    ],
)
def test_items_bring_both_kinds_in_the_share_that_is_asked(
    user_share: float, repeat: bool, expected: list[tuple[int, int]]
) -> None:
    items = np.repeat([0, 1, 2], [10, 6, 3])
    domains = np.array([CATALOGUE] + [USER] * 9 + [CATALOGUE, USER] * 3 + [USER] * 3)
    images = images_of(items, domains)
    sampler = PKSampler(images, p=3, k=4, seed=0, user_share=user_share, repeat=repeat)
    for epoch in range(10):
        sampler.set_epoch(epoch)
        for batch in sampler:
            for start in range(0, 12, 4):
                rows = batch[start : start + 4]
                kinds = Counter(domains[rows])
                item = items[rows[0]]
                assert min(kinds[USER], 3) == expected[item][1]
                assert kinds[CATALOGUE] == expected[item][0]
                if item == 0 and not repeat:
                    assert len(set(rows)) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p": 3}, r"`data\.p=3`: a batch of 3 items is larger than the training set of 2"),
        ({"by": "colour"}, r"`sampler\.by=colour`: must be category, parent or null"),
        ({"by": "category", "together": 3}, r"`sampler\.together=3`: from 1 to the items of a batch, `data\.p=2`"),
        ({"user_share": 1.0}, r"`sampler\.user_share=1\.0`: must lie between 0 and 1"),
        ({"apart": True}, r"`sampler\.apart=true`: the catalogue has no column `sequence`"),
        ({"user_share": 0.5, "k": 1}, r"`data\.k=1`: an item with a user photo and a catalogue image"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PKSampler(images_of(np.array([0, 1, 1])), **{"p": 2, "k": 2, "seed": 0, **changes})
