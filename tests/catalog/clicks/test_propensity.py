"""Propensities from a log alone, against the truth and against a likelihood written out."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import minimize

from src.catalog.clicks.impressions import read_impressions
from src.catalog.clicks.propensity import estimate_propensities
from src.contracts.errors import LookalikeError
from src.shop import EXAMINATION


def simulate(seed: int, *, pairs: int = 400, times: int = 12, ranks: int = 5) -> tuple[np.ndarray, ...]:
    """A position-based log in which good items stand higher, by a noisy engine; and its true examination."""
    rng = np.random.default_rng(seed)
    relevance = rng.beta(1, 2, pairs)
    truth = np.sort(np.r_[1.0, rng.uniform(0.15, 0.9, ranks - 1)])[::-1]
    numbers = np.repeat(np.arange(pairs), times)
    place = np.clip(np.round((1 - relevance[numbers]) * (ranks - 1) + rng.normal(0, 1.2, len(numbers))), 0, ranks - 1)
    place = place.astype(np.int64)
    clicked = rng.random(len(numbers)) < truth[place] * relevance[numbers]
    return numbers, place + 1, clicked, truth


def test_of_the_shop_s_log_the_true_examination_comes_out(shop_log: pa.Table) -> None:
    shown = read_impressions(shop_log)
    found = estimate_propensities(shown.pairs, shown.ranks, shown.clicked, deepest=10)
    # Nine estimates: four standard errors are missed by chance in one of 1,800 logs.
    assert (np.abs(np.log(found.values) - np.log(EXAMINATION))[1:] < 4 * found.errors[1:]).all()
    # And the errors are small enough for that to mean something.
    assert found.errors[1] < 0.03
    assert found.errors[4] < 0.1
    # The plain click rate by rank, which is what one would take, is far off: good items stand high.
    rates = np.array([shown.clicked[shown.ranks == rank].mean() for rank in range(1, 11)])
    assert rates[4] / rates[0] < EXAMINATION[4] - 10 * found.errors[4] * EXAMINATION[4]


def test_standard_errors_are_as_large_as_the_errors() -> None:
    scores = []
    for seed in range(60):
        *log, truth = simulate(seed)
        found = estimate_propensities(*log, deepest=5)
        scores.append(((np.log(found.values) - np.log(truth)) / np.where(found.errors > 0, found.errors, 1))[1:])
    scores = np.array(scores)
    # 240 scores: their deviation is known to 5 %, their mean to .07, and they go together within a log.
    assert 0.8 < scores.std() < 1.2
    assert abs(scores.mean()) < 0.25


def test_the_maximum_is_that_of_the_likelihood_written_out() -> None:
    pairs, ranks, clicked, _ = simulate(3, pairs=25, times=8, ranks=4)
    found = estimate_propensities(pairs, ranks, clicked, deepest=4)

    def loss(free: np.ndarray) -> float:
        logs, total = np.r_[0.0, free], 0.0
        for pair in set(pairs.tolist()):
            mine = pairs == pair
            looks = sum(np.exp(logs[rank - 1]) for rank in ranks[mine])
            total -= sum(logs[rank - 1] - np.log(looks) for rank in ranks[mine & clicked])
        return total

    expected = np.exp(np.r_[0.0, minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x])
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)


def test_neither_order_nor_names_of_pairs_matter() -> None:
    pairs, ranks, clicked, _ = simulate(4)
    order = np.random.default_rng(0).permutation(len(pairs))
    found = estimate_propensities(pairs, ranks, clicked, deepest=5)
    again = estimate_propensities(10**12 - 7 * pairs[order], ranks[order], clicked[order], deepest=5)
    np.testing.assert_allclose(again.values, found.values, rtol=1e-8)
    np.testing.assert_allclose(again.errors[1:], found.errors[1:], rtol=1e-6)


def test_by_hand_two_ranks() -> None:
    # One pair: 10 impressions at rank 1 with 6 clicks, 20 at rank 2 with 3: (3/20) / (6/10).
    ranks = np.repeat([1, 2], [10, 20])
    clicked = np.r_[np.arange(10) < 6, np.arange(20) < 3]
    found = estimate_propensities(np.zeros(30, np.int64), ranks, clicked, deepest=2)
    np.testing.assert_allclose(found.values, [1.0, 0.25])
    assert found.clicks.tolist() == [6, 3]


def test_ranks_that_cannot_be_compared_are_nan() -> None:
    pairs, ranks, clicked, _ = simulate(5, ranks=3)
    # Rank 4 is shown for pairs of its own; rank 5 is never clicked; rank 6 is never shown.
    extra = np.repeat([1000, 0], 5)
    found = estimate_propensities(
        np.r_[pairs, extra], np.r_[ranks, np.repeat([4, 5], 5)], np.r_[clicked, np.repeat([True, False], 5)], deepest=6
    )
    assert np.isnan(found.values[3:]).all()
    assert np.isnan(found.errors[3:]).all()
    np.testing.assert_allclose(found.values[:3], estimate_propensities(pairs, ranks, clicked, deepest=3).values)
    assert np.isnan(found.at(np.array([4, 99]))).all()
    assert found.at(np.array([[1, 2]])).tolist() == [found.values[:2].tolist()]


def test_impressions_below_the_deepest_rank_are_left_out() -> None:
    pairs, ranks, clicked, _ = simulate(6)
    found = estimate_propensities(pairs, ranks, clicked, deepest=3)
    upper = ranks <= 3
    expected = estimate_propensities(pairs[upper], ranks[upper], clicked[upper], deepest=3)
    np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize(
    ("ranks", "clicked"),
    [([], []), ([1], [True]), ([1, 1], [True, False]), ([1, 2], [True, False]), ([2, 3], [True, True])],
    ids=["empty", "one row", "one rank", "no click to compare", "no rank 1"],
)
def test_a_log_that_tells_nothing_is_refused(ranks: list[int], clicked: list[bool]) -> None:
    with pytest.raises(LookalikeError, match="a longer log is needed"):
        estimate_propensities(
            np.zeros(len(ranks), np.int64), np.array(ranks, np.int64), np.array(clicked, bool), deepest=3
        )
