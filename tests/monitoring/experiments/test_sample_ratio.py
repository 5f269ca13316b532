import numpy as np
import pytest
from scipy import stats

from src.contracts.errors import ConfigError
from src.monitoring.experiments.sample_ratio import sample_ratio_p_values

HALF = np.array([0.5, 0.5])


def test_it_is_the_ratio_of_dirichlet_multinomial_and_multinomial() -> None:
    counts, shares = np.array([[30, 50, 20]]), np.array([0.3, 0.3, 0.4])
    marginal = stats.dirichlet_multinomial(100 * shares, 100).logpmf(counts[0])
    evidence = marginal - stats.multinomial(100, shares).logpmf(counts[0])
    found = sample_ratio_p_values(counts, shares, concentrations=[100.0])[0]
    assert found == pytest.approx(min(np.exp(-evidence), 1.0))


@pytest.mark.parametrize(("users", "share"), [(600, 0.6), (4_000, 0.54), (1_000_000, 0.503)])
def test_errors_of_all_sizes_are_found(users: int, share: float) -> None:
    treated = round(users * share)
    assert sample_ratio_p_values(np.array([[users - treated, treated]]), HALF)[0] < 0.001


def test_a_wrong_ratio_is_found_and_p_never_rises() -> None:
    n = np.arange(1, 29)[:, None] * 1000
    p = sample_ratio_p_values((n * np.array([[0.48, 0.52]])).astype(int), HALF)
    assert p[-1] < 1e-4
    assert (np.diff(p) <= 0).all()
    back = sample_ratio_p_values(np.array([[4000, 6000], [50_000, 50_000]]), HALF)
    assert back[1] == back[0] < 1e-9


def test_watching_every_user_is_no_false_alarm() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        treated = rng.integers(0, 2, 3000).cumsum()
        counts = np.stack([np.arange(1, 3001) - treated, treated], axis=1)
        alarms += sample_ratio_p_values(counts, HALF)[-1] < 0.05
    assert alarms <= 15 + 12


def test_shares_must_be_shares() -> None:
    with pytest.raises(ConfigError, match="sum 1"):
        sample_ratio_p_values(np.array([[1, 1]]), np.array([0.5, 0.6]))
    assert sample_ratio_p_values(np.zeros((1, 2), int), HALF).tolist() == [1.0]
