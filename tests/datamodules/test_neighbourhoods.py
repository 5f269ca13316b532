"""Which items belong together."""

import numpy as np

from src.datamodules.neighbourhoods import Neighbourhoods


def as_dict(table: Neighbourhoods) -> dict[int, dict[int, float]]:
    return {item: dict(zip(*(values.tolist() for values in table.of(item)), strict=True)) for item in range(len(table))}


def test_pairs_are_ordered_by_item_and_equal_ones_added_up() -> None:
    pairs = np.array([[3, 0], [0, 2], [3, 1], [0, 2], [0, 1]]).T
    table = Neighbourhoods.of_pairs(*pairs, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), item_count=5)
    assert as_dict(table) == {0: {1: 5.0, 2: 6.0}, 1: {}, 2: {}, 3: {0: 1.0, 1: 3.0}, 4: {}}


def test_none_has_none() -> None:
    assert as_dict(Neighbourhoods.none(3)) == {0: {}, 1: {}, 2: {}}
    assert len(Neighbourhoods.none(0)) == 0


def test_joined_both_weigh_alike() -> None:
    first = Neighbourhoods.of_pairs(np.array([0, 0, 1]), np.array([1, 2, 0]), np.array([10.0, 30.0, 7.0]), item_count=3)
    second = Neighbourhoods.of_pairs(np.array([0, 2]), np.array([1, 0]), np.array([0.1, 0.2]), item_count=3)
    assert as_dict(first.with_others(second)) == {0: {1: 1.25, 2: 0.75}, 1: {0: 1.0}, 2: {0: 1.0}}
    assert as_dict(first.with_others(Neighbourhoods.none(3))) == {0: {1: 0.25, 2: 0.75}, 1: {0: 1.0}, 2: {}}
