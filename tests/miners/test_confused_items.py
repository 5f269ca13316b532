"""Which items an encoder takes for each other."""

import numpy as np
import pytest

from src.datamodules.training_set import TrainingSet
from src.miners import confused_items as module
from src.miners.confused_items import confused_items


def images_of(items: list[int], parents: list[int] | None = None, domains: list[int] | None = None) -> TrainingSet:
    count = len(items)
    return TrainingSet(
        rows=np.arange(count),
        items=np.array(items, np.int64),
        parents=np.array(parents or items, np.int64),
        categories=np.zeros(count, np.int64),
        domains=np.array(domains or [-1] * count, np.int64),
    )


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def as_dict(table) -> dict[int, list[int]]:
    return {item: sorted(table.of(item)[0].tolist()) for item in range(len(table))}


def test_known_confusions_are_found() -> None:
    # Items 0 and 1 stand in each other's way, 2 and 3 nearly, 4 is alone.
    vectors = on_circle(0, 10, 5, 15, 100, 105, 112, 117, 250, 252)
    table, confusion = confused_items(vectors, images_of([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), count=1, skip=0)
    assert as_dict(table) == {0: [1], 1: [0], 2: [3], 3: [2], 4: [0]}
    # All four images of 0 and 1 lie nearer to the other item, and no other one does.
    assert confusion == 0.4


def test_variants_of_the_parent_are_neither_confused_nor_neighbours() -> None:
    vectors = on_circle(0, 10, 5, 15, 100, 105, 150, 155)
    images = images_of([0, 0, 1, 1, 2, 2, 3, 3], parents=[0, 0, 0, 0, 1, 1, 2, 2])
    table, confusion = confused_items(vectors, images, count=3, skip=0)
    assert as_dict(table) == {0: [2, 3], 1: [2, 3], 2: [0, 1, 3], 3: [0, 1, 2]}
    assert confusion == 0


def test_the_nearest_can_be_skipped() -> None:
    vectors = on_circle(0, 1, 10, 11, 30, 31, 70, 71)
    images = images_of([0, 0, 1, 1, 2, 2, 3, 3])
    assert as_dict(confused_items(vectors, images, count=1, skip=0)[0])[0] == [1]
    assert as_dict(confused_items(vectors, images, count=1, skip=1)[0])[0] == [2]
    assert as_dict(confused_items(vectors, images, count=2, skip=1)[0])[0] == [2, 3]
    assert as_dict(confused_items(vectors, images, count=2, skip=3)[0]) == {0: [], 1: [], 2: [], 3: []}


def test_only_catalogue_images_answer_where_each_item_has_one() -> None:
    # The photos (domain 1) of 0 and 1 coincide; their catalogue images do not.
    vectors = on_circle(0, 20, 20, 40, 100, 101)
    items, domains = [0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 0, 1]
    _, confusion = confused_items(vectors, images_of(items, domains=domains), count=1, skip=0)
    # Asked are the three photos (a catalogue image has no other of its item): both ties count as confusions.
    assert confusion == pytest.approx(2 / 3, abs=1e-6)
    assert confused_items(vectors, images_of(items), count=1, skip=0)[1] > 0.5


def test_constant_vectors_are_all_confusion() -> None:
    _, confusion = confused_items(np.ones((6, 1), np.float32), images_of([0, 0, 1, 1, 2, 2]), count=2, skip=0)
    assert confusion == 1


def test_single_images_and_a_single_product() -> None:
    table, confusion = confused_items(on_circle(0, 10, 90), images_of([0, 1, 2]), count=1, skip=0)
    assert as_dict(table) == {0: [1], 1: [0], 2: [1]}
    assert confusion is None
    table, confusion = confused_items(on_circle(0, 10), images_of([0, 0]), count=3, skip=0)
    assert as_dict(table) == {0: []}
    assert confusion == 0


def slowly(vectors: np.ndarray, images: TrainingSet, count: int) -> tuple[dict[int, list[int]], float]:
    """All images answer all; nearness is the mean best similarity, which for whole lists orders alike."""
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    items, parents = images.items, images.parents
    nearest, wrong, asked = {}, 0, 0
    for item in range(images.item_count):
        mine = np.flatnonzero(items == item)
        others = [o for o in range(images.item_count) if parents[items == o][0] != parents[mine[0]]]
        means = [np.mean([similarities[row, items == other].max() for row in mine]) for other in others]
        nearest[item] = sorted(others[place] for place in np.argsort(means)[::-1][:count])
        for row in mine:
            if len(mine) > 1:
                asked += 1
                wrong += similarities[row, parents != parents[row]].max() >= similarities[row, items == item].max()
    return nearest, wrong / asked


@pytest.mark.parametrize("chunk", [1, 7, 4096])
@pytest.mark.parametrize("seed", [0, 1])
def test_against_a_slow_reference(seed: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    rng = np.random.default_rng(seed)
    items = np.sort(np.r_[np.arange(12), rng.integers(0, 12, 30)])
    images = images_of(rng.permutation(items).tolist())
    images = images_of(images.items.tolist(), parents=(images.items // 2).tolist())
    centres = rng.normal(size=(12, 8))
    vectors = centres[images.items] + rng.normal(0, 0.9, size=(len(items), 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    table, confusion = confused_items(vectors, images, count=11, skip=0)
    full, expected = slowly(vectors, images, 11)
    assert as_dict(table) == full
    assert confusion == pytest.approx(expected)
    # With fewer, most are the same: what lies below an image's last result counts as the last.
    some, _ = confused_items(vectors, images, count=3, skip=0)
    agreed = [len(set(found) & set(slowly(vectors, images, 3)[0][item])) for item, found in as_dict(some).items()]
    assert np.mean(agreed) > 2.7
