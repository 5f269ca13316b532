"""Intervals over products: references are Student's, the score test product by product, and exact bounds."""

import numpy as np
import pytest
from scipy import stats

from src.eval.intervals import (
    Interval,
    cluster_intervals,
    effective_products,
    mean_interval,
    product_totals,
    score_ends,
    score_p_value,
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


def score_statistic(sums: np.ndarray, counts: np.ndarray, mean: float) -> float:
    """By the definition: the squared total of what is left of each product, over the sum of their squares."""
    total, squares = 0.0, 0.0
    for one, number in zip(sums, counts, strict=True):
        left = one - number * mean
        total += left
        squares += left**2
    return total**2 / squares


@pytest.mark.parametrize("sizes", ["few", "heavy", "half"])
def test_the_interval_holds_what_the_score_test_does_not_reject(rng, sizes) -> None:
    counts = {"few": rng.integers(1, 7, 25), "heavy": np.minimum(rng.zipf(1.8, 60), 50), "half": [5] * 12 + [60]}[sizes]
    counts = np.asarray(counts, np.float64)
    sums = rng.normal(0.1, 0.3, len(counts)) * counts
    interval = mean_interval(sums, counts, 0.95)
    effective = counts.sum() ** 2 / (counts**2).sum()
    limit = effective * stats.beta.ppf(0.95, 0.5, (effective - 1) / 2)
    width = interval.high - interval.low
    assert interval.low < interval.value < interval.high
    for end in (interval.low, interval.high):
        assert score_statistic(sums, counts, end) == pytest.approx(limit)
    for mean in np.linspace(interval.low - width, interval.high + width, 60):
        assert (score_statistic(sums, counts, mean) <= limit) == (interval.low <= mean <= interval.high)
    # The p-value says the same of the hypothesis that the mean is 0.
    residuals, shares = (sums - counts * interval.value) / counts.sum(), counts / counts.sum()
    p_value = score_p_value(interval.value, residuals, shares)
    low, high = (interval.value + end for end in score_ends(residuals, shares, 1 - p_value))
    assert min(abs(low), abs(high)) < 1e-9


def test_with_products_of_equal_size_it_is_students(rng) -> None:
    means = rng.normal(0.3, 0.2, 9)
    interval = mean_interval(means * 4, np.full(9, 4.0), 0.9)
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    counts = np.full(9, 0.25) * 4
    p_value = score_p_value(means.mean(), (means - means.mean()) / 9, counts / 9)
    assert p_value == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
    # On the logit scale: Student's with the linearised error.
    hits = rng.binomial(4, 0.8, 40).astype(float)
    interval = mean_interval(hits, np.full(40, 4.0), 0.95, logit=True)
    value, error = hits.mean() / 4, (hits / 4).std(ddof=1) / 40**0.5
    half = stats.t.ppf(0.975, 39) * error / (value * (1 - value))
    ends = np.log(value / (1 - value)) + np.array([-half, half])
    assert (interval.low, interval.high) == pytest.approx(tuple(1 / (1 + np.exp(-ends))))


def test_a_product_with_most_queries_makes_the_interval_longer(rng) -> None:
    sums = rng.normal(0, 0.2, 40)
    even = mean_interval(sums, np.ones(40), 0.95)
    counts = np.ones(40)
    counts[0] = 30
    sums[0] *= 30
    uneven = mean_interval(sums, counts, 0.95)
    assert uneven.high - uneven.low > 2 * (even.high - even.low)
    counts[0], sums[0] = 360, sums[0] * 12
    refused = mean_interval(sums, counts, 0.95)
    assert (refused.low, refused.high) == (None, None)
    assert refused.reason == "40 products count as 1.2 of equal size: at least 3 are needed"


def test_queries_of_one_product_are_not_independent(rng) -> None:
    # 40 products of 25 equal queries: as sure as 40 queries, not as 1000.
    level = (rng.random(40) < 0.7).astype(float)
    products = np.repeat(np.arange(40), 25)
    together = cluster_intervals(level[products][:, None], products)[0]
    once = cluster_intervals(level[:, None], np.arange(40))[0]
    assert (together.queries, together.products, once.queries) == (1000, 40, 40)
    assert together.value == pytest.approx(once.value)
    assert (together.low, together.high) == pytest.approx((once.low, once.high), abs=1e-9)
    apart = cluster_intervals(level[products][:, None], np.arange(1000))[0]
    assert apart.high - apart.low < 0.3 * (together.high - together.low)


def test_one_query_a_product_comes_near_the_binomial(rng) -> None:
    values = (np.arange(200) < 150).astype(float)[:, None]
    interval = cluster_intervals(values, np.arange(200))[0]
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
        interval = cluster_intervals(values, np.repeat(np.arange(20), 3))[0]
        assert 0 < interval.low < interval.value < interval.high < 1


@pytest.mark.parametrize(
    ("values", "products", "expected"),
    [
        ([], [], Interval(None, None, None, 0, 0, "no query has a positive")),
        ([np.nan, np.nan], "ab", Interval(None, None, None, 0, 0, "no query has a positive")),
        ([0.2, 0.4], "aa", Interval(pytest.approx(0.3), None, None, 2, 1, "all queries are of one product")),
        (
            [0.3] * 4,
            "aabc",
            Interval(
                pytest.approx(0.3), None, None, 4, 3, "3 products count as 2.7 of equal size: at least 3 are needed"
            ),
        ),
        ([0.3] * 5, "aabcd", Interval(pytest.approx(0.3), None, None, 5, 4, "all products have the same value")),
    ],
)
def test_what_cannot_be_told_has_a_reason(values, products, expected) -> None:
    column = np.array(values, float)[:, None]
    assert cluster_intervals(column, np.array(list(products), object)) == [expected]


def test_few_large_products_count_for_fewer() -> None:
    counts = np.array([[1.0, 10.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    assert effective_products(counts).tolist() == pytest.approx([4, 144 / 102])


@pytest.mark.parametrize("wrong", [1.5, -0.1, np.inf])
def test_what_is_no_share_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=rf"values must be between 0 and 1, or NaN; got {wrong}"):
        cluster_intervals(np.array([[0.5], [wrong], [np.nan]]), np.arange(3))
