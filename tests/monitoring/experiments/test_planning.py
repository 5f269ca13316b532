import doctest

import numpy as np
import pytest
from scipy import stats

from src.contracts.errors import ConfigError
from src.monitoring.experiments import planning
from src.monitoring.experiments.looks import Arm
from src.monitoring.experiments.planning import covariance_of_log, covariance_of_rate, plan, users_per_variant


def test_published_sample_sizes() -> None:
    # R's documentation of power.prop.test: p1 = .50, p2 = .75: power .90 takes n = 76.7; n = 50 has power .740.
    assert users_per_variant(0.50, 0.75, power=0.90) == pytest.approx(76.7, abs=0.05)
    assert users_per_variant(0.50, 0.75, power=0.740) == pytest.approx(50, abs=0.1)
    # Lehr's rule (Statistics in Medicine 1992), 16 variance / difference^2, is near.
    assert users_per_variant(0.10, 0.11) == pytest.approx(16 * 0.105 * 0.895 / 0.01**2, rel=0.03)


def test_a_fixed_horizon_is_the_normal_formula() -> None:
    found = plan(0.1, covariance_of_rate(0.1, 1000, 20), lift=0.05)
    error = np.sqrt(4 * 0.09 / (1000 * np.arange(1, 21)))
    assert found.fixed == pytest.approx((stats.norm.isf(0.025) + stats.norm.ppf(0.8)) * error / 0.1)
    assert (found.daily > found.fixed).all()
    assert (found.daily < 1.25 * found.fixed).all()


def test_the_planned_duration_has_the_promised_power() -> None:
    found = plan(0.1, covariance_of_rate(0.1, 3000, 30), lift=0.1)
    assert found.days is not None
    assert found.daily[found.days - 1] <= 0.1 < found.daily[found.days - 2]
    rng = np.random.default_rng(0)
    users = np.arange(1, found.days + 1) * 1500
    error = np.sqrt(2 * 0.09 / users)
    steps = rng.normal(0, 1, (20_000, found.days)).cumsum(axis=1) / np.sqrt(np.arange(1, found.days + 1))
    reach = planning.Paths(np.minimum.outer(1 / users, 1 / users), first=1, planned=found.days).boundary(0.05)
    power = ((steps + 0.01 / error) > reach).any(axis=1).mean()
    assert 0.79 < power < 0.9


def test_a_log_is_continued() -> None:
    rng = np.random.default_rng(0)
    first = np.repeat(np.arange(7), 300)
    y = (rng.random(2100) < 0.2)[:, None] * (first[:, None] <= np.arange(7))
    n = (first[:, None] <= np.arange(7)).astype(float)
    value, covariance = covariance_of_log(Arm(y.astype(float), n), 21)
    assert covariance.shape == (21, 21)
    assert covariance == pytest.approx(covariance_of_rate(value, 300, 21), rel=0.25)
    assert np.linalg.eigvalsh(covariance).min() > -1e-12


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lift": 0.0}, "lift 0.0"),
        ({"lift": 0.1, "power": 0.01}, "power"),
        ({"lift": 0.1, "shares": (0.6, 0.6)}, "shares"),
    ],
)
def test_what_cannot_be_planned_is_refused(given: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        plan(0.1, np.eye(2), **given)
    with pytest.raises(ConfigError, match="is 0 in the whole log"):
        covariance_of_log(Arm(np.zeros((3, 2)), np.ones((3, 2))), 5)


def test_examples_run() -> None:
    assert doctest.testmod(planning).failed == 0
