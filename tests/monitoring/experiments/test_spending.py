import numpy as np
import pytest
from scipy import stats

from src.monitoring.experiments.spending import Paths, spent


def new_users(looks: int) -> np.ndarray:
    return 1 / np.maximum.outer(np.arange(1, looks + 1), np.arange(1, looks + 1))


def test_the_share_that_is_spent_grows_and_stays_below_one() -> None:
    share = spent(np.arange(1, 1000), 28)
    assert share[27] == pytest.approx(0.9)
    assert (np.diff(share) > 0).all()
    assert share[-1] < 1


def test_one_look_is_a_fixed_horizon_test() -> None:
    reach = Paths(np.ones((1, 1)), first=1, planned=1).boundary(0.05)
    assert reach[0] == pytest.approx(stats.norm.isf(0.05 * 0.9 / 2), rel=0.02)


def test_two_looks_have_the_probability_that_scipy_integrates() -> None:
    covariance = new_users(2)
    alike = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    reach = Paths(covariance, first=1, planned=2).boundary(0.1)
    normal = stats.multivariate_normal(cov=alike)
    inside = normal.cdf(reach, lower_limit=-reach)
    assert 1 - inside == pytest.approx(0.09, abs=0.003)
    # The first look alone spends its quarter.
    assert 2 * stats.norm.sf(reach[0]) == pytest.approx(0.1 * 0.9 / 4, abs=0.002)


@pytest.mark.parametrize("kind", ["new users", "the same users", "unrelated looks"])
def test_paths_that_were_not_used_cross_as_often_as_intended(kind: str) -> None:
    looks = 28
    covariance = {
        "new users": new_users(looks),
        "the same users": np.ones((looks, looks)) + 0.01 * np.eye(looks),
        "unrelated looks": np.eye(looks),
    }[kind]
    reach = Paths(covariance, first=1, planned=looks).boundary(0.05)
    draws = np.random.default_rng(7).multivariate_normal(np.zeros(looks), covariance, 40_000)
    crossed = (np.abs(draws / np.sqrt(np.diag(covariance))) > reach).any(axis=1).mean()
    assert crossed == pytest.approx(0.045, abs=0.004)


def test_earlier_boundaries_do_not_depend_on_later_looks() -> None:
    whole = Paths(new_users(20), first=1, planned=20).boundary(0.05)
    part = Paths(new_users(8), first=1, planned=20).boundary(0.05)
    assert whole[:8] == pytest.approx(part, abs=1e-9)


def test_p_values_invert_the_boundary() -> None:
    paths = Paths(new_users(14), first=1, planned=14)
    for alpha in (0.2, 0.05, 0.01):
        z = paths.boundary(alpha)
        only = np.where(np.arange(14) == 10, z, 0.0)
        assert paths.p_value(only) == pytest.approx(alpha, rel=0.15)
    assert paths.p_value(np.zeros(14)) == 1.0
    assert paths.p_value(np.full(14, 50.0)) == 1e-12


def test_a_look_that_repeats_the_one_before_it_is_no_error() -> None:
    assert np.isfinite(Paths(np.ones((5, 5)), first=1, planned=5).boundary(0.05)).all()
