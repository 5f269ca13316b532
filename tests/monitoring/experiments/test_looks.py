import numpy as np
import pytest

from benchmarks.monitoring.simulated_users import DAYS, Behaviour, draw_arm
from src.monitoring.experiments.looks import Arm, covariance_at_looks, difference_at_looks, intrinsic_time


@pytest.fixture(scope="module")
def arms() -> tuple[Arm, Arm]:
    rng = np.random.default_rng(1)
    control, treated = (draw_arm(rng, Behaviour(users=800), lift=lift, before=True) for lift in (0.0, 0.3))
    return control, treated


def plain(arm: Arm) -> Arm:
    return Arm(arm.y, arm.n)


def test_covariance_is_that_of_a_bootstrap_of_users(arms: tuple[Arm, Arm]) -> None:
    control, treated = arms
    _, covariance, _, _ = covariance_at_looks(plain(control), plain(treated))
    rng = np.random.default_rng(0)
    days = [6, 13, 27]
    drawn = []
    for _ in range(1500):
        values = []
        for arm in arms:
            rows = rng.integers(0, len(arm.y), len(arm.y))
            values.append(arm.y[rows][:, days].sum(axis=0) / arm.n[rows][:, days].sum(axis=0))
        drawn.append(values[1] - values[0])
    assert np.cov(np.array(drawn).T) == pytest.approx(covariance[np.ix_(days, days)], rel=0.15)


def test_the_delta_method_written_out(arms: tuple[Arm, Arm]) -> None:
    # Deng, Knoblich, Lu (2018), equation of the variance of a ratio of means, by moments and not by influences.
    variance = 0.0
    for arm in arms:
        y, n = arm.y[:, -1], arm.n[:, -1]
        (vy, cyn), (_, vn) = np.cov(y, n, ddof=0)
        ratio = y.mean() / n.mean()
        variance += (vy - 2 * ratio * cyn + ratio**2 * vn) / (n.mean() ** 2 * len(y))
    at = difference_at_looks(plain(arms[0]), plain(arms[1]), alpha=0.05)
    assert at.error[-1] ** 2 == pytest.approx(variance)
    assert at.value[-1] == pytest.approx(np.diff([arm.y[:, -1].sum() / arm.n[:, -1].sum() for arm in arms])[0])


def test_time_of_new_users_is_the_information_and_of_the_same_users_stands_still() -> None:
    looks = np.arange(1.0, 6.0)
    assert intrinsic_time(1 / np.maximum.outer(looks, looks)) == pytest.approx(looks)
    assert intrinsic_time(np.ones((4, 4))) == pytest.approx(np.ones(4))
    # Looks that say nothing of each other have no common clock.
    assert intrinsic_time(np.eye(3)).tolist() == [1.0, np.inf, np.inf]


def test_slepians_condition_holds_between_all_looks(arms: tuple[Arm, Arm]) -> None:
    _, covariance, _, _ = covariance_at_looks(plain(arms[0]), plain(arms[1]))
    time = intrinsic_time(covariance)
    alike = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    for t in range(len(time)):
        for s in range(t):
            assert time[s] / time[t] <= alike[s, t] ** 2 + 1e-9


def test_what_is_returned_makes_time_run_faster_than_information() -> None:
    rng = np.random.default_rng(0)
    how = Behaviour(results=1, rate=0.5, icc=0.01, returned=0.9, visits=0.02, users=5000)
    _, covariance, _, _ = covariance_at_looks(*(plain(draw_arm(rng, how)) for _ in range(2)))
    variance = np.diag(covariance)
    assert intrinsic_time(covariance)[-1] > 1.5 * variance[0] / variance[-1]


def test_earlier_intervals_do_not_change_with_later_days(arms: tuple[Arm, Arm]) -> None:
    half = [Arm(arm.y[:, :14], arm.n[:, :14], arm.pre_y, arm.pre_n) for arm in arms]
    for planned in (None, DAYS):
        whole, part = (difference_at_looks(*each, alpha=0.05, planned=planned) for each in (arms, half))
        assert whole.low[:14] == pytest.approx(part.low)
        assert whole.high[:14] == pytest.approx(part.high)


def test_the_period_before_narrows_the_interval_and_keeps_the_effect(arms: tuple[Arm, Arm]) -> None:
    with_it = difference_at_looks(*arms, alpha=0.05, planned=DAYS)
    without = difference_at_looks(*map(plain, arms), alpha=0.05, planned=DAYS)
    assert with_it.error[-1] < 0.8 * without.error[-1]
    assert with_it.low[-1] < 0.03 < with_it.high[-1]
    # CUPED's textbook form on the last look: regress the influences on those of the period before.
    psi, earlier, gap = [], [], []
    for arm in arms:
        y, n, py, pn = arm.y[:, -1], arm.n[:, -1], arm.pre_y, arm.pre_n
        psi.append((y - y.sum() / n.sum() * n) / n.sum())
        earlier.append((py - py.sum() / pn.sum() * pn) / pn.sum())
        gap.append(py.sum() / pn.sum())
    theta = np.polyfit(np.concatenate(earlier), np.concatenate(psi), 1)[0]
    assert with_it.value[-1] == pytest.approx(without.value[-1] - theta * (gap[1] - gap[0]), rel=1e-6)


def test_looks_of_few_users_do_not_count() -> None:
    y, n = np.zeros((100, 5)), np.ones((100, 5))
    y[:5, 2:] = 1
    y[:60, 4] = 1
    at = difference_at_looks(Arm(y, n), Arm(y, n), alpha=0.05, planned=5)
    assert at.first == 4
    assert np.isinf(at.low[:4]).all()
    assert np.isfinite(at.low[4])
    assert at.effective[2] == pytest.approx(5, rel=0.3)


@pytest.mark.parametrize("users", [0, 1])
def test_nobody_or_one_user_gives_no_interval_and_no_warning(users: int) -> None:
    arm = Arm(np.zeros((users, 3)), np.zeros((users, 3)))
    at = difference_at_looks(arm, arm, alpha=0.05, planned=3)
    assert at.first is None
    assert at.p_value() == 1.0
    assert np.isinf(at.high).all()


def test_peeking_at_returning_users_stays_within_alpha() -> None:
    # 200 A/A experiments: the benchmark makes 1,000 of each kind.
    rng = np.random.default_rng(5)
    crossed = np.zeros(3)
    for _ in range(200):
        arms = [plain(draw_arm(rng, Behaviour(users=400, visits=0.3))) for _ in range(2)]
        planned = difference_at_looks(*arms, alpha=0.05, planned=DAYS, paths=5000)
        open_ended = difference_at_looks(*arms, alpha=0.05)
        z = np.abs(planned.value / np.maximum(planned.error, 1e-12))
        found = [(each.low > 0).any() or (each.high < 0).any() for each in (planned, open_ended)]
        crossed += [*found, (z > 1.96).any()]
    # 5 % and three standard errors; reading the delta method's interval daily is far outside.
    assert crossed[0] <= 19
    assert crossed[1] <= 19
    assert crossed[2] > 30
