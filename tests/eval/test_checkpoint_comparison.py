"""Paired comparison of two runs: SciPy's permutation test and full enumeration are the references."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from src.eval.bootstrap import product_totals
from src.eval.checkpoint_comparison import Difference, compare_checkpoints, detectable, sign_flip_p_values


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
    assert sign_flip_p_values(sums, permutations=256).tolist() == pytest.approx(expected)
    for column, p_value in zip(sums.T, sign_flip_p_values(sums), strict=True):
        reference = stats.permutation_test((column,), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert p_value == pytest.approx(reference.pvalue)


def test_many_products_are_sampled(rng) -> None:
    sums = rng.normal(0.15, 1, (150, 2))
    p_values = sign_flip_p_values(sums, permutations=20_000, seed=2)
    for column, p_value in zip(sums.T, p_values, strict=True):
        reference = stats.permutation_test(
            (column,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(3)
        )
        assert p_value == pytest.approx(reference.pvalue, abs=0.012)
    # The pattern that was found is one of them: never 0.
    assert sign_flip_p_values(np.ones((70, 1)), permutations=99).tolist() == [0.01]


def test_products_are_swapped_whole() -> None:
    # 6 products of 50 queries, all better: 64 patterns, two as far out as this one.
    better = np.full((300, 1), 0.9)
    found = compare_checkpoints(better + np.linspace(0, 0.05, 300)[:, None], better - 0.2, np.repeat(np.arange(6), 50))
    assert found[0].p_value == 2 / 64
    assert found[0].value == pytest.approx(0.225)


def test_the_interval_is_that_of_the_paired_difference(rng) -> None:
    products = np.arange(60)
    shared = rng.random(60)
    candidate = np.column_stack([shared + 0.02 + 0.01 * rng.standard_normal(60), rng.random(60)])
    baseline = np.column_stack([shared, rng.random(60)])
    found = compare_checkpoints(candidate, baseline, products, resamples=20_000)
    for m in range(2):
        reference = stats.ttest_rel(candidate[:, m], baseline[:, m])
        interval = reference.confidence_interval(0.95)
        assert (found[m].low, found[m].high) == pytest.approx((interval.low, interval.high), rel=0.03)
        assert found[m].p_value == pytest.approx(reference.pvalue, abs=0.015)
    # Pairing is what finds a difference that is small beside the spread of the queries.
    assert found[0].low > 0
    mirrored = compare_checkpoints(baseline, candidate, products, resamples=20_000)
    assert (mirrored[0].low, mirrored[0].high) == pytest.approx((-found[0].high, -found[0].low))


def test_queries_without_a_positive_count_for_nothing(rng) -> None:
    values = rng.random((2, 40, 1))
    products = np.arange(40) // 2
    holes = np.arange(40) % 5 == 0
    with_holes = np.where(holes[:, None], np.nan, values)
    found, expected = (
        compare_checkpoints(*part, names)
        for part, names in ((with_holes, products), (values[:, ~holes], products[~holes]))
    )
    assert found == expected
    assert np.isfinite(found[0].p_value)


@pytest.mark.parametrize(
    ("differences", "products", "expected"),
    [
        ([], "", Difference(None, reason="no query has a positive")),
        ([np.nan], "a", Difference(None, reason="no query has a positive")),
        ([0.5, 0.1], "aa", Difference(pytest.approx(0.3), reason="all queries are of one product")),
        ([0.0, 0.0], "ab", Difference(0.0, p_value=1.0, reason="equal on every product")),
        ([0.5, 0.5], "ab", Difference(0.5, p_value=0.5, reason="the same difference on every product")),
    ],
)
def test_what_cannot_be_told_has_a_reason(differences, products, expected) -> None:
    column = np.array(differences, float)[:, None]
    baseline = np.zeros_like(column)
    assert compare_checkpoints(column, baseline, np.array(list(products), object), resamples=200) == [expected]


def test_the_detectable_difference_is_the_t_tests() -> None:
    # Power of the one-sample t-test with 30 observations, from the noncentral t distribution.
    error, freedom = 0.02, 29
    centre = detectable(error, freedom, 0.95) / error
    limit = stats.t.ppf(0.975, freedom)
    assert stats.nct.sf(limit, freedom, centre) == pytest.approx(0.8, abs=0.01)


def test_totals_of_a_difference_need_no_names_in_order(rng) -> None:
    values = rng.random((30, 1))
    names = np.array([f"p{n % 7}" for n in range(30)], object)
    order = rng.permutation(30)
    for first, second in zip(product_totals(values, names), product_totals(values[order], names[order]), strict=True):
        np.testing.assert_allclose(first, second)
