"""Probabilities fitted on simulated searches whose true probabilities are known."""

import numpy as np
import pytest

from src.eval.calibration import fit_confidence, measure_calibration
from src.eval.first_results import FirstResults


def simulated(count: int, seed: int, *, products: int = 200, margin: float = 0.0, spread: float = 0.0) -> FirstResults:
    """Answers that are right with probability 1 / (1 + exp(-10 (score + margin * distance - .6) - effect))."""
    rng = np.random.default_rng(seed)
    product = rng.integers(products, size=count)
    effect = spread * rng.normal(size=products)[product]
    first = rng.random(count)
    distance = rng.random(count) * 0.2
    right = rng.random(count) < truth(first, distance, margin, effect)
    return FirstResults(first, first - distance, right, first - rng.random(count) * 0.2, product)


def truth(first: np.ndarray, distance: np.ndarray, margin: float, effect: np.ndarray | float = 0.0) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-10 * (first + margin * distance - 0.6) - effect)))


@pytest.mark.parametrize("margin", [0.0, 3.0])
def test_fitted_probabilities_are_near_the_true_ones(margin: float) -> None:
    fitted = fit_confidence(simulated(4000, 0, margin=margin))
    assert fitted is not None
    other = simulated(4000, 1, margin=margin)
    true = truth(other.first, other.first - other.second, margin)
    assert np.abs(fitted.probabilities(other.first, other.second) - true).mean() < 0.04
    assert fitted.margin_weight == pytest.approx(margin, abs=0.5)
    measured = measure_calibration(fitted, other).metrics
    assert measured["calibration_error"] < 0.04
    best = np.mean((true - other.right) ** 2)
    assert best - 0.01 < measured["calibration_brier"] < best + 0.01 < measured["calibration_base_brier"]


def test_steps_rise_and_their_intervals_hold_what_comes() -> None:
    held = []
    for seed in range(20):
        fitted = fit_confidence(simulated(800, seed, products=80, spread=1.0))
        assert fitted is not None
        for values in (fitted.starts, fitted.right, fitted.low, fitted.high):
            assert np.all(np.diff(values) >= 0)
        assert all(low <= value <= high for low, value, high in zip(fitted.low, fitted.right, fitted.high, strict=True))
        new = simulated(40_000, 1000 + seed, products=20_000, spread=1.0)
        step = np.searchsorted(fitted.starts, fitted.evidence(new.first, new.second), side="right") - 1
        for number in range(len(fitted.starts)):
            share = new.right[np.clip(step, 0, None) == number].mean()
            held.append(fitted.low[number] <= share <= fitted.high[number])
    assert np.mean(held) > 0.93


def test_ugly_results() -> None:
    rng = np.random.default_rng(3)
    products = np.arange(200) % 40
    scores = rng.random(200)
    always = FirstResults(scores, scores - 0.1, np.ones(200, bool), scores - 0.1, products)
    fitted = fit_confidence(always)
    assert fitted is not None
    assert fitted.right == [1.0]
    assert fitted.low[0] > 0.8
    constant = FirstResults(np.ones(200), np.ones(200), rng.random(200) < 0.3, np.ones(200), products)
    fitted = fit_confidence(constant)
    assert fitted is not None
    assert fitted.right == [pytest.approx(constant.right.mean())]
    assert fitted.of(1.0, 1.0).in_catalogue


def test_too_few_photos_or_products_fit_nothing() -> None:
    assert fit_confidence(simulated(99, 0)) is None
    assert fit_confidence(simulated(2000, 0, products=19)) is None
    assert fit_confidence(simulated(0, 0)) is None


def test_groups_state_what_was_said_and_what_was_right() -> None:
    fitted = fit_confidence(simulated(2000, 0))
    assert fitted is not None
    other = simulated(500, 5)
    groups = measure_calibration(fitted, other).groups
    assert [group.right.queries for group in groups] == [50] * 10
    assert np.all(np.diff([group.stated for group in groups]) >= 0)
    stated = fitted.probabilities(other.first, other.second)
    assert np.mean([group.stated for group in groups]) == pytest.approx(stated.mean())
    assert np.mean([group.right.value for group in groups]) == pytest.approx(other.right.mean())
