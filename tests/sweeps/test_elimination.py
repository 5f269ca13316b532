"""The tests of a race against their definition, and how often they drop the best trial."""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmarks.racing_risk import Field, raced
from src.sweeps.elimination import differences_to_best, is_worse, level_of_a_test


def one_sided(worse: np.ndarray, better: np.ndarray) -> float:
    """Share of all exchanges of the two, product by product, that differ as much in this direction."""
    gaps = better - worse
    signs = np.array([*itertools.product([-1, 1], repeat=len(gaps))])
    return float(np.mean(signs @ gaps >= gaps.sum() - 1e-9))


@pytest.mark.parametrize("level", [0.0005, 0.005, 0.05])
def test_a_trial_is_worse_by_the_one_sided_permutation_test_and_its_interval(level: float) -> None:
    rng = np.random.default_rng(1)
    told = []
    for gap in (0.0, 0.1, 0.15, 0.2, 0.4):
        best = rng.uniform(0.5, 1.0, 12)
        other = np.clip(best - gap + rng.normal(0, 0.15, 12), 0, 1)
        position, (first, second) = differences_to_best([other[None], best[None]], np.arange(12), level=level)
        assert (position, second) == (1, None)
        if level > 40 / 4096:  # with few patterns beyond the level, the interval is coarse
            error = (other - best).std(ddof=1) / 12**0.5
            high = (other - best).mean() + stats.t.ppf(1 - level, 11) * error
            assert first.high == pytest.approx(high, abs=0.03)
        p_value = one_sided(other, best)
        assert first.p_value == pytest.approx(2 * p_value, abs=1e-9)
        worse = p_value <= level
        assert (first.high < 0) == worse
        assert is_worse(first, level=level) == worse
        told.append(worse)
    assert told[-1] == (level > 1 / 4096)
    assert not told[0]


def test_risk_is_shared_by_all_others_at_all_looks() -> None:
    assert level_of_a_test(0.05, trials=9, looks=2) == pytest.approx(0.05 / 16)
    assert level_of_a_test(0.05, trials=1, looks=2) == 0.05


def test_the_best_is_rarely_dropped_and_poor_trials_mostly() -> None:
    equal = raced(Field(trials=5, products=40), 60)
    # 5 % are allowed; that 8 of 60 are more is a chance of 1 in 300.
    assert equal["best"] <= 8 / 60
    assert equal["best"] <= equal["naive"]
    poor = raced(Field(trials=5, products=40, ahead=0.1, poor=2.0), 15)
    assert poor["best"] <= 3 / 15
    assert poor["others"] > 0.45
    # Several seeds: the methods are compared.
    assert raced(Field(trials=4, products=40, seeds=3, seed_effect=0.2), 30)["best"] <= 6 / 30
