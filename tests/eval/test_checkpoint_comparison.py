"""Paired comparison of two runs; Student's paired test is the reference where it is valid."""

import numpy as np
import pytest
from scipy import stats

from src.eval.checkpoint_comparison import Difference, compare_checkpoints, detectable
from src.eval.comparison import verdict_of
from src.eval.intervals import product_totals


@pytest.fixture
def rng():
    return np.random.default_rng(11)


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
        assert (found[m].low, found[m].high) == pytest.approx((interval.low, interval.high), rel=0.06)
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
        ([0.5, 0.5], "ab", Difference(0.5, p_value=0.5, reason="2 products are too few for an interval at 95%")),
        ([0.5] * 6, "abcdef", Difference(0.5, 0.5, 0.5, p_value=2 / 64, detectable=0.0)),
    ],
)
def test_what_cannot_be_told_has_a_reason(differences, products, expected) -> None:
    column = np.array(differences, float)[:, None]
    baseline = column * 0
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


def test_one_product_with_most_queries_decides_nothing_alone() -> None:
    # 40 products: one is better in 600 queries, the others are as often better as worse.
    products = np.repeat(np.arange(40), [600, *[5] * 39])
    differences = np.where(products == 0, 0.2, np.where(products % 2, 0.1, -0.1))[:, None]
    found = compare_checkpoints(differences, np.zeros_like(differences), products)[0]
    assert found.value == pytest.approx(0.15, abs=0.01)
    assert found.p_value > 0.4
    assert found.low < 0 < found.high


def test_verdict_interval_and_p_value_agree(rng) -> None:
    told = 0
    for number in range(60):
        products = np.repeat(np.arange(14), rng.integers(1, 20, 14))
        hits = (rng.random((2, len(products), 1)) < [[[0.75]], [[0.55]]]).astype(float)
        found = compare_checkpoints(*hits, products, resamples=400, seed=number)[0]
        assert (found.p_value <= 0.05) == (found.low > 0 or found.high < 0)
        assert found.low <= found.value <= found.high
        told += verdict_of(found, found.p_value, 0.95) != "can't tell"
    assert 10 < told < 60


def test_what_only_one_run_has_is_refused() -> None:
    column = np.array([[0.5], [np.nan], [1.0]])
    with pytest.raises(ValueError, match="query 1 has a value in one of the two runs only"):
        compare_checkpoints(column, np.zeros((3, 1)), np.arange(3))
    with pytest.raises(ValueError, match="a value is infinite"):
        compare_checkpoints(np.full((3, 1), np.inf), np.zeros((3, 1)), np.arange(3))
