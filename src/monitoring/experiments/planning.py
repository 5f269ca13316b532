"""How long an experiment must run: power of a fixed-horizon test, and of daily looks, from numbers or from a log."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from src.contracts.errors import ConfigError
from src.monitoring.experiments.looks import Arm, covariance_at_looks
from src.monitoring.experiments.spending import Paths

__all__ = ["Plan", "covariance_of_log", "covariance_of_rate", "plan", "users_per_variant"]


@dataclass(frozen=True)
class Plan:
    """What experiments of 1, 2, ... days can find; the arrays have shape (days,).

    Attributes:
        value: the metric's value now.
        fixed: relative change that one test at the end finds with the wished power.
        daily: the same for daily looks with boundaries of `spending.py`. Finding it earlier is not counted, so that the
            true power is a little higher.
        days: the shortest duration that finds the wished change with daily looks; None if none of these does.
    """

    value: float
    fixed: np.ndarray
    daily: np.ndarray
    days: int | None


def users_per_variant(control: float, treated: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Users per variant of a fixed-horizon test of two proportions, one trial a user.

    The formula of R's `power.prop.test`: variance pooled without an effect, separate with it.

    >>> round(users_per_variant(0.50, 0.75, power=0.90), 1)
    76.7
    """
    z_alpha, z_power = stats.norm.isf(alpha / 2), stats.norm.ppf(power)
    middle = (control + treated) / 2
    pooled, separate = 2 * middle * (1 - middle), control * (1 - control) + treated * (1 - treated)
    return float(((z_alpha * pooled**0.5 + z_power * separate**0.5) / (treated - control)) ** 2)


def covariance_of_rate(rate: float, users_a_day: float, days: int) -> np.ndarray:
    """Of a rate over users who come once, at the end of each day: float64 of shape (days, days)."""
    until = np.arange(1, days + 1) * users_a_day
    return rate * (1 - rate) / np.maximum.outer(until, until)


def covariance_of_log(users: Arm, days: int) -> tuple[float, np.ndarray]:
    """Value and covariance of a metric over all users of a log, continued to more days than the log has.

    Beyond the log, users are taken to go on arriving: the covariance of looks s <= t is the variance at t, which falls
    as 1 / t.

    Args:
        users: totals of all users, at the end of each day of the log.
        days: looks that are wanted.

    Raises:
        ConfigError: the metric is 0 in the whole log.
    """
    empty = Arm(np.zeros((0, users.y.shape[1])), np.zeros((0, users.n.shape[1])))
    values, covariance, _, _ = covariance_at_looks(users, empty)
    value, length = float(values[0, -1]), len(covariance)
    if value <= 0:
        raise ConfigError("the metric is 0 in the whole log: there is nothing to plan with; take another metric or log")
    first = int(np.argmax(np.diag(covariance) > 0))
    whole = np.full((max(days, length),) * 2, np.nan)
    whole[:length, :length] = covariance
    for look in range(length, days):
        whole[look, :] = whole[:, look] = covariance[-1, -1] * length / (look + 1)
    whole[:first, :] = whole[:, :first] = covariance[first, first]
    return value, whole[:days, :days]


def plan(
    value: float,
    covariance: np.ndarray,
    *,
    lift: float,
    shares: tuple[float, float] = (0.5, 0.5),
    alpha: float = 0.05,
    power: float = 0.8,
) -> Plan:
    """What a comparison of two variants finds after each number of days.

    Args:
        value: the metric's value now.
        covariance: of the metric over all users at the end of each day, float of shape (days, days).
        lift: relative change that shall be found.
        shares: of the users that each variant gets.
        alpha: error of both tails together, over all looks.
        power: probability of finding the change.
    """
    problems = [
        f"{name} {given}: must be {rule}"
        for name, given, rule, right in (
            ("value", value, "positive", value > 0),
            ("lift", lift, "not 0", lift != 0),
            ("power", power, "between alpha and 1", alpha < power < 1),
            ("alpha", alpha, "between 0 and 1", 0 < alpha < 1),
            ("shares", shares, "positive, with a sum of at most 1", min(shares) > 0 and sum(shares) <= 1 + 1e-9),
        )
        if not right
    ]
    if problems:
        raise ConfigError("plan: " + "; ".join(problems))
    difference = covariance * sum(1 / share for share in shares)
    error, z_power = np.sqrt(np.diag(difference)), stats.norm.ppf(power)
    reach = np.array([
        Paths(difference[:days, :days], first=1, planned=days, count=20_000).boundary(alpha)[-1]
        for days in range(1, len(error) + 1)
    ])  # fmt: skip
    fixed, daily = ((z + z_power) * error / value for z in (stats.norm.isf(alpha / 2), reach))
    enough = np.flatnonzero(daily <= abs(lift))
    return Plan(value, fixed, daily, int(enough[0]) + 1 if len(enough) else None)
