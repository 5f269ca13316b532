"""Intervals resample products; references are SciPy's bootstrap, a loop over draws, and exact binomial bounds."""

import numpy as np
import pytest
from scipy import stats

from src.eval.bootstrap import (
    Interval,
    cluster_intervals,
    effective_products,
    product_totals,
    ratio_errors,
    resampled_totals,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def clustered(rng: np.random.Generator, products: int, metrics: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Values in [0, 1] that agree within a product, of products of unequal size; some without a value."""
    product = np.repeat(np.arange(products), rng.integers(1, 7, products))
    level = rng.random((products, metrics))
    values = np.clip(level[product] + 0.1 * rng.standard_normal((len(product), metrics)), 0, 1)
    values[rng.random(len(product)) < 0.1] = np.nan
    order = rng.permutation(len(product))
    return values[order], np.array([f"product-{n}" for n in product[order]], object)


def test_totals_are_sums_and_counts_by_product(rng) -> None:
    values, products = clustered(rng, 9)
    sums, counts = product_totals(values, products)
    for row, name in enumerate(sorted(set(products))):
        np.testing.assert_allclose(sums[row], np.nansum(values[products == name], axis=0))
        assert counts[row].tolist() == np.isfinite(values[products == name]).sum(axis=0).tolist()


def test_draws_are_of_whole_products_and_repeatable(rng) -> None:
    totals = np.eye(5)
    drawn = resampled_totals(totals, resamples=4000, seed=3)
    # With the identity as totals a draw is its own weights: as many as there are products, each one on average.
    assert set(drawn.sum(axis=1)) == {5.0}
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(drawn.var(axis=0), 1 - 1 / 5, atol=0.08)
    np.testing.assert_array_equal(drawn, resampled_totals(totals, resamples=4000, seed=3))
    # Chunks: more than one, the last one shorter.
    wide = resampled_totals(np.ones((200_000, 1)), resamples=12)
    assert wide.tolist() == [[200_000.0]] * 12


def test_errors_agree_with_scipys_bootstrap_of_products(rng) -> None:
    values, products = clustered(rng, 25)
    sums, counts = product_totals(values, products)
    errors = ratio_errors(sums, counts, resamples=20_000, seed=1)
    for m in range(3):
        result = stats.bootstrap(
            (sums[:, m], counts[:, m]),
            lambda total, number, axis: total.sum(axis=axis) / number.sum(axis=axis),
            paired=True,
            n_resamples=20_000,
            method="percentile",
            rng=np.random.default_rng(5),
        )
        assert errors[m] == pytest.approx(result.standard_error * np.sqrt(25 / 24), rel=0.03)


def test_queries_of_one_product_are_not_independent(rng) -> None:
    # 40 products of 25 equal queries: as sure as 40 queries, not as 1000.
    level = (rng.random(40) < 0.7).astype(float)
    products = np.repeat(np.arange(40), 25)
    together = cluster_intervals(level[products][:, None], products, resamples=2000)[0]
    once = cluster_intervals(level[:, None], np.arange(40), resamples=2000)[0]
    assert (together.queries, together.products, once.queries) == (1000, 40, 40)
    assert together.value == pytest.approx(once.value)
    assert (together.low, together.high) == pytest.approx((once.low, once.high), abs=1e-9)
    apart = cluster_intervals(level[products][:, None], np.arange(1000), resamples=2000)[0]
    assert apart.high - apart.low < 0.3 * (together.high - together.low)


def test_one_query_a_product_comes_near_the_binomial(rng) -> None:
    values = (np.arange(200) < 150).astype(float)[:, None]
    interval = cluster_intervals(values, np.arange(200), resamples=20_000)[0]
    wilson = stats.binomtest(150, 200).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((wilson.low, wilson.high), abs=0.005)
    narrow = cluster_intervals(values, np.arange(200), confidence=0.8)[0]
    assert interval.low < narrow.low < 0.75 < narrow.high < interval.high


def test_all_right_or_all_wrong_has_clopper_and_pearsons_bound() -> None:
    products = np.repeat(np.arange(30), 4)
    right, wrong = (cluster_intervals(np.full((120, 1), value), products)[0] for value in (1.0, 0.0))
    exact = stats.binomtest(30, 30).proportion_ci(method="exact")
    assert (right.value, right.low, right.high) == pytest.approx((1.0, exact.low, 1.0))
    assert (wrong.value, wrong.low, wrong.high) == pytest.approx((0.0, 0.0, 1 - exact.low))


def test_the_ends_stay_between_0_and_1(rng) -> None:
    for rate in (0.01, 0.99):
        values = (rng.random((60, 1)) < rate).astype(float)
        values[:2, 0] = 0, 1
        interval = cluster_intervals(values, np.repeat(np.arange(20), 3), resamples=500)[0]
        assert 0 < interval.low < interval.value < interval.high < 1


@pytest.mark.parametrize(
    ("values", "products", "expected"),
    [
        ([], [], Interval(None, None, None, 0, 0, "no query has a positive")),
        ([np.nan, np.nan], "ab", Interval(None, None, None, 0, 0, "no query has a positive")),
        ([0.2, 0.4], "aa", Interval(pytest.approx(0.3), None, None, 2, 1, "all queries are of one product")),
        ([0.3, 0.3, 0.3], "aab", Interval(pytest.approx(0.3), None, None, 3, 2, "all products have the same value")),
    ],
)
def test_what_cannot_be_told_has_a_reason(values, products, expected) -> None:
    column = np.array(values, float)[:, None]
    assert cluster_intervals(column, np.array(list(products), object), resamples=200) == [expected]


def test_few_large_products_count_for_fewer() -> None:
    counts = np.array([[1.0, 10.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    assert effective_products(counts).tolist() == pytest.approx([4, 144 / 102])
