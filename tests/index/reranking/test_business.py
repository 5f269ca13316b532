"""Business wishes against hand-made values."""

import numpy as np
import pytest

from src.index.reranking.business import business_boost, freshness, price_proximity, typical_price

INF, NAN = np.inf, np.nan


def test_each_wish_adds_its_weight() -> None:
    scores = np.array([[0.9, 0.8, -INF]], np.float32)
    boosted = business_boost(
        scores,
        in_stock=np.array([[0, 1, 1]]),
        price_proximity=np.array([[0.5, 1.0, 1.0]]),
        freshness=np.array([[1.0, 0.25, 1.0]]),
        in_stock_weight=0.2,
        price_weight=0.1,
        freshness_weight=0.4,
    )
    np.testing.assert_allclose(boosted, [[0.9 + 0.05 + 0.4, 0.8 + 0.2 + 0.1 + 0.1, -INF]], rtol=1e-6)
    np.testing.assert_array_equal(business_boost(scores, in_stock=np.ones((1, 3))), scores)


def test_a_weight_above_two_puts_all_that_is_in_stock_first() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(-1, 1, (20, 50)).astype(np.float32)
    in_stock = rng.random((20, 50)) < 0.3
    boosted = business_boost(scores, in_stock=in_stock, in_stock_weight=2.1)
    order = np.argsort(-boosted, axis=1)
    assert (np.diff(np.take_along_axis(in_stock, order, axis=1).astype(int), axis=1) <= 0).all()
    for row in range(20):
        for kind in (True, False):
            kept = [place for place in order[row] if in_stock[row, place] == kind]
            assert kept == [place for place in np.argsort(-scores[row]) if in_stock[row, place] == kind]


def test_price_proximity_is_the_ratio_of_the_prices() -> None:
    prices = np.array([[10.0, 20.0, 40.0, NAN, 0.0, -3.0, INF], [1.0] * 7])
    np.testing.assert_allclose(price_proximity(prices, np.array([20.0, NAN])), [[0.5, 1.0, 0.5, 0, 0, 0, 0], [0] * 7])
    np.testing.assert_array_equal(price_proximity(np.ones((1, 2)), np.array([0.0])), [[0, 0]])


def test_the_typical_price_is_the_best_results_median() -> None:
    prices = np.array([[9.0, 1.0, 5.0, NAN, 100.0], [NAN] * 5, [3.0, 1.0, 2.0, 8.0, 9.0]])
    scores = np.array([[0.5, 0.9, 0.7, 1.0, 0.1], [0.5] * 5, [0.5, 0.5, 0.5, -INF, -INF]], np.float32)
    np.testing.assert_array_equal(typical_price(prices, scores, 3), [5.0, NAN, 2.0])
    # Of equal scores the order decides nothing.
    np.testing.assert_array_equal(typical_price(prices[2:, ::-1], scores[2:, ::-1], 2), [1.5])


def test_freshness_halves_with_each_half_life() -> None:
    day = 86_400.0
    listed = np.array([[0.0, -30 * day, -90 * day, 5 * day, NAN]])
    np.testing.assert_allclose(freshness(listed, 0.0, 30), [[1, 0.5, 0.125, 1, 0]])
    assert freshness(np.array(NAN), 0.0) == pytest.approx(0)
