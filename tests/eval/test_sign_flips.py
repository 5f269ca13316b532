"""The permutation test and its interval; SciPy's test, full enumeration and a scan of hypotheses are the references."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from src.eval.sign_flips import sign_flip_test


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_few_products_are_enumerated(rng) -> None:
    sums = np.round(rng.normal(0.4, 1, (8, 2)), 1)
    sums[3] = 0
    expected = []
    for column in sums.T:
        totals = [abs(np.dot(signs, column)) for signs in product([1, -1], repeat=8)]
        expected.append(np.mean(np.array(totals) >= abs(column.sum()) - 1e-9))
    counts = np.ones_like(sums)
    assert sign_flip_test(sums, counts, permutations=256)[0].tolist() == pytest.approx(expected)
    for column, p_value in zip(sums.T, sign_flip_test(sums, counts)[0], strict=True):
        reference = stats.permutation_test((column,), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert p_value == pytest.approx(reference.pvalue)


def test_many_products_are_sampled(rng) -> None:
    sums = rng.normal(0.15, 1, (150, 2))
    p_values = sign_flip_test(sums, np.ones_like(sums), permutations=20_000, seed=2)[0]
    for column, p_value in zip(sums.T, p_values, strict=True):
        reference = stats.permutation_test(
            (column,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(3)
        )
        assert p_value == pytest.approx(reference.pvalue, abs=0.012)
    # The pattern that was found is one of them: never 0.
    assert sign_flip_test(np.ones((70, 1)), np.ones((70, 1)), permutations=99)[0].tolist() == [0.01]


@pytest.mark.parametrize("sizes", [[1] * 9, [3, 1, 4, 1, 5, 9, 2, 6], [40, 1, 1, 2, 2, 1, 3, 1, 2]])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_the_interval_is_what_the_test_does_not_reject(rng, sizes, confidence) -> None:
    counts = np.array(sizes, float)
    sums = rng.normal(0.3, 1, len(sizes)) * counts
    _, (low,), (high,) = sign_flip_test(sums[:, None], counts[:, None], confidence=confidence)

    def p_value(difference: float) -> float:
        left = sums - counts * difference
        totals = [abs(np.dot(signs, left)) for signs in product([1, -1], repeat=len(left))]
        return float(np.mean(np.array(totals) >= abs(left.sum()) - 1e-9))

    for outside, inside in ((low - 1e-6, low + 1e-6), (high + 1e-6, high - 1e-6)):
        assert p_value(outside) <= 1 - confidence < p_value(inside)
    for difference in np.linspace(low, high, 9)[1:-1]:
        assert p_value(difference) > 1 - confidence


def test_products_in_groups_answer_as_products_alone(rng, monkeypatch) -> None:
    counts = np.minimum(rng.zipf(1.8, (3000, 1)), 400).astype(float)
    counts[::7] = 0
    sums = rng.normal(0.05, 0.4, counts.shape) * counts
    grouped = np.concatenate(sign_flip_test(sums, counts, permutations=20_000))
    monkeypatch.setattr("src.eval.sign_flips._MOST_UNITS", 10_000)
    alone = np.concatenate(sign_flip_test(sums, counts, permutations=20_000))
    assert grouped[0] == pytest.approx(alone[0], abs=0.02)
    assert grouped[1:] == pytest.approx(alone[1:], abs=0.05 * (alone[2] - alone[1]))


def test_ends_are_infinite_where_no_p_value_is_small_enough() -> None:
    for products, decided in ((5, False), (6, True)):
        sums = np.arange(1.0, products + 1)[:, None]
        p_values, low, high = sign_flip_test(sums, np.ones_like(sums))
        assert p_values[0] == 2 / 2**products
        assert np.isfinite([low[0], high[0]]).all() == decided
    sums = np.ones((30, 1))
    assert np.isinf(sign_flip_test(sums, sums, permutations=10)[1]).all()


def test_ties_and_zeros_do_not_depend_on_rounding() -> None:
    # 0.1 + 0.2 - 0.3 is not 0 in binary: a total of 0 reaches 0 all the same.
    sums = np.tile([0.1, 0.2, -0.3], 4)[:, None]
    p_values, low, high = sign_flip_test(sums, np.ones_like(sums))
    assert p_values[0] == 1
    assert low[0] < 0 < high[0]
    zero = np.zeros((9, 1))
    assert [each.tolist() for each in sign_flip_test(zero, np.ones((9, 1)))] == [[1.0], [0.0], [0.0]]
