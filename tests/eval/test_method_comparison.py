"""Methods with several seeds: a slow two-way analysis of variance and Welch's test are the references."""

import numpy as np
import pytest
from scipy import stats

from src.eval.method_comparison import compare_methods, method_intervals


@pytest.fixture
def rng():
    return np.random.default_rng(13)


def runs(rng, seeds: int, difficulty: np.ndarray, *, seed_spread: float, noise: float, level: float = 0.0):
    """(seeds, queries, 1): products' difficulty, shared by all, a shift for each seed, and noise."""
    shift = rng.normal(level, seed_spread, (seeds, 1))
    return (difficulty + shift + rng.normal(0, noise, (seeds, len(difficulty))))[:, :, None]


def test_the_variance_is_that_of_the_crossed_model(rng) -> None:
    difficulty = rng.normal(0, 1, 50)
    first, second = (runs(rng, seeds, difficulty, seed_spread=0.3, noise=0.5) for seeds in (3, 4))
    second += rng.normal(0, 0.6, (50, 1))  # what one method finds hard and the other doesn't
    found = compare_methods(first, second, np.arange(50))[0]
    # One query a product: an average's jackknife covariance is the sample covariance over the number of products.
    means = [part[:, :, 0].mean(axis=1) for part in (first, second)]
    both = np.cov(np.concatenate([first, second])[:, :, 0]) / 50
    shared = (
        both[:3, :3][~np.eye(3, dtype=bool)].mean()
        + both[3:, 3:][~np.eye(4, dtype=bool)].mean()
        - 2 * both[:3, 3:].mean()
    )
    parts = [(means[0].var(ddof=1) / 3, 2), (means[1].var(ddof=1) / 4, 3), (shared, 49)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    assert shared > 0
    assert found.value == pytest.approx(means[0].mean() - means[1].mean())
    half = stats.t.ppf(0.975, freedom) * variance**0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.value) / variance**0.5, freedom))


def test_where_products_do_not_matter_it_is_welchs_test(rng) -> None:
    # Equal products: only the seeds spread.
    first, second = rng.normal(0.6, 0.02, 5), rng.normal(0.55, 0.05, 4)
    tiny = 1e-7 * rng.standard_normal((9, 30))
    values = np.concatenate([first, second])[:, None] + tiny - tiny.mean(axis=1, keepdims=True)
    found = compare_methods(values[:5, :, None], values[5:, :, None], np.arange(30))[0]
    welch = stats.ttest_ind(first, second, equal_var=False)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-3)
    interval = welch.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-3)


def test_lucky_seeds_that_agree_do_not_make_it_sure(rng) -> None:
    difficulty = rng.normal(0, 1, 40)
    first, second = (runs(rng, 2, difficulty, seed_spread=0, noise=1.0) for _ in range(2))
    for part in (first, second):
        part -= part.mean(axis=1, keepdims=True) - part.mean()  # seeds of exactly equal averages
    found = compare_methods(first, second, np.arange(40))[0]
    # Noise of variance 1 on 40 products, two seeds on each side: sqrt(1 / 40), and about twice that.
    assert (found.high - found.low) / 2 == pytest.approx(2 * 40**-0.5, rel=0.25)


def test_one_seed_cannot_answer(rng) -> None:
    values = rng.random((4, 20, 2))
    for first, second in ((values[:1], values[1:]), (values[1:], values[:1]), (values[:1], values[1:2])):
        for found in compare_methods(first, second, np.arange(20)):
            assert found.reason == "at least two seeds of each method are needed"
            assert (found.low, found.high, found.p_value) == (None, None, None)


def test_what_has_no_seed_needs_one_run(rng) -> None:
    difficulty = rng.normal(0, 1, 60)
    method = runs(rng, 4, difficulty, seed_spread=0.1, noise=0.3, level=0.5)
    histogram = runs(rng, 1, difficulty, seed_spread=0, noise=0.3)
    found = compare_methods(method, histogram, np.arange(60), seedless=(False, True))[0]
    assert 0 < found.low < found.value < found.high
    # The variance by hand: seeds of the one, and of products their covariance less twice that with the other.
    both = np.cov(np.concatenate([method, histogram])[:, :, 0]) / 60
    shared = both[:4, :4][~np.eye(4, dtype=bool)].mean() + both[4, 4] - 2 * both[:4, 4].mean()
    variance = method[:, :, 0].mean(axis=1).var(ddof=1) / 4 + shared
    assert found.value / stats.t.isf(found.p_value / 2, 1e9) < 2 * variance**0.5
    assert (found.high - found.low) / 2 > stats.norm.ppf(0.975) * variance**0.5


def test_degenerate_runs_have_reasons(rng) -> None:
    same = np.full((2, 10, 1), 0.5)
    assert compare_methods(same, same, np.arange(10))[0].reason == "equal on every product and seed"
    assert compare_methods(same, same - 0.1, np.arange(10))[0].p_value is None
    one = compare_methods(rng.random((2, 10, 1)), rng.random((2, 10, 1)), np.zeros(10))[0]
    assert (one.reason, one.low) == ("all queries are of one product", None)
    empty = compare_methods(np.full((2, 3, 1), np.nan), np.full((2, 3, 1), np.nan), np.arange(3))[0]
    assert (empty.value, empty.reason) == (None, "no query has a positive")


def test_a_methods_own_interval_holds_seeds_and_products(rng) -> None:
    difficulty = rng.random(50)
    steady, shaky = (
        np.clip(runs(rng, 3, difficulty, seed_spread=spread, noise=0.05), 0, 1) for spread in (0.001, 0.15)
    )
    small, large = (method_intervals(part, np.arange(50))[0] for part in (steady, shaky))
    assert small.value == pytest.approx(steady.mean())
    assert small.low == pytest.approx(small.value - 1.98 * difficulty.std() / 50**0.5, abs=0.02)
    assert large.high - large.low > 1.5 * (small.high - small.low)
    assert (small.queries, small.products) == (50, 50)
    assert method_intervals(np.full((2, 5, 1), np.nan), np.arange(5))[0].reason == "no query has a positive"
    assert method_intervals(rng.random((2, 5, 1)), np.zeros(5))[0].reason == "all queries are of one product"
    assert method_intervals(np.full((2, 5, 1), 0.5), np.arange(5))[0].low is None


def test_a_methods_interval_follows_from_both_variances(rng) -> None:
    part = np.clip(runs(rng, 4, rng.random(400), seed_spread=0.1, noise=0.05), 0, 1)
    found = method_intervals(part, np.arange(400))[0]
    means, value = part[:, :, 0].mean(axis=1), part.mean()
    # The mean run's variance over products, and what the seeds' spread has beyond the noise of single products.
    covariance = np.cov(part[:, :, 0]) / 400
    noise = np.trace(covariance) / 4 - covariance[~np.eye(4, dtype=bool)].mean()
    parts = [(covariance.mean(), 399), ((means.var(ddof=1) - noise) / 4, 3)]
    variance = sum(each for each, _ in parts)
    freedom = variance**2 / sum(each**2 / degrees for each, degrees in parts)
    half = stats.t.ppf(0.975, freedom) * variance**0.5 / (value * (1 - value))
    ends = np.log(value / (1 - value)) + np.array([-half, half])
    assert (found.low, found.high) == pytest.approx(tuple(1 / (1 + np.exp(-ends))), abs=0.002)


def test_methods_with_too_few_effective_products_have_no_interval(rng) -> None:
    products = np.repeat(np.arange(12), [110, *[1] * 11])
    found = compare_methods(*rng.random((2, 3, len(products), 1)), products)[0]
    assert (found.low, found.p_value) == (None, None)
    assert found.reason == "12 products count as 1.2 of equal size: at least 3 are needed"
