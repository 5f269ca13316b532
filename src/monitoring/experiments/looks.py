"""The difference of a ratio metric at daily looks, clustered by user, with intervals that hold at all looks together.

A metric is a ratio of sums, such as clicks / impressions. Users are independent, their events are not. At look t user
i of a variant has the totals Y_i(t) and N_i(t), both since the start of the experiment, and the variant's value is
R(t) = sum Y / sum N. Its error is, to first order (delta method; Deng, Knoblich, Lu, KDD 2018), the sum over users of

    psi_i(t) = (Y_i(t) - R(t) N_i(t)) / sum N(t).

**Why peeking is not solved by that.** When users return, psi_i(t) is the same user's influence again, changed. The
error of the difference D(t) is no sum of independent increments, which confidence sequences are proved for. It is,
for many users, a Gaussian process whose covariance is known, since users are independent:

    C(s, t) = sum over all users of psi_i(s) psi_i(t).

Slepian's inequality compares two Gaussian processes of equal variances: that of the larger correlations is less
likely to exceed a boundary at any look. A Brownian motion at the times T(1) < T(2) < ... has correlations sqrt(T(s) /
T(t)). So the boundary of `confidence_sequence.py` at the times T holds for D / sd(D), in each tail, if T(s) / T(t) <=
corr(s, t)^2 for all s < t. The smallest such times are

    T(1) = 1,    T(t) = max over s < t of T(s) / corr(s, t)^2.

If users never return, T is the usual intrinsic time, proportional to 1 / Var D. If the same users return and behave
as before, looks repeat each other and T stands still. It grows faster than 1 / Var D where later events cancel
earlier ones (returned goods), or where few users come to dominate: 1 / Var D would then understate the cost of
peeking.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from src.monitoring.experiments.confidence_sequence import best_mixture, boundary, p_values
from src.monitoring.experiments.spending import PATHS, Paths

__all__ = ["Arm", "LEAST_EFFECTIVE", "Differences", "covariance_at_looks", "difference_at_looks", "intrinsic_time"]

LEAST_EFFECTIVE = 10.0
"""Looks count from the first one at which each variant's variance comes from as many users, effectively: the sum of
few terms is not normal."""

_OPEN_ENDED = 28
"""The look at which a confidence sequence is narrowest."""


@dataclass(frozen=True)
class Arm:
    """One variant's users, with their totals since the start at each look.

    Attributes:
        y: numerators, float64 of shape (users, looks).
        n: denominators, of the same shape; 0 before a user's first visit.
        pre_y: numerators of the period before the experiment, float64 of shape (users,); None without such a period.
        pre_n: denominators of that period.
    """

    y: np.ndarray
    n: np.ndarray
    pre_y: np.ndarray | None = None
    pre_n: np.ndarray | None = None


@dataclass(frozen=True)
class Differences:
    """Treated less control at each look. The arrays have shape (looks,).

    Attributes:
        control: value of the control.
        treated: value of the treated variant.
        value: the difference; adjusted by the period before the experiment where there is one.
        error: its standard error, clustered by user.
        low: lower end of the interval; -inf at looks that do not count.
        high: upper end.
        p_value: computes the sequential p-value, of all looks together.
        first: the first look that counts, from 0; None if there is none.
        effective: users that the smaller variant's variance effectively comes from, (sum psi^2)^2 / sum psi^4; as
            many as there are if all have the same influence, 1 if one has it all.
    """

    control: np.ndarray
    treated: np.ndarray
    value: np.ndarray
    error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: Callable[[], float]
    first: int | None
    effective: np.ndarray


def difference_at_looks(
    control: Arm, treated: Arm, *, alpha: float, planned: int | None = None, paths: int = PATHS
) -> Differences:
    """Estimate the difference at each look, with intervals that hold at all looks together.

    The interval at each look is for the true difference of what happened up to that look, which may change over time.

    Args:
        control: the control's users.
        treated: the other variant's users, at the same looks.
        alpha: the probability that any of the intervals misses, asymptotically.
        planned: number of the planned last look, fixed before the start: boundaries of `spending.py`, which are
            narrower. None for an experiment without a plan: a confidence sequence.
        paths: simulated paths for the boundaries.
    """
    values, covariance, effective, adjustment = covariance_at_looks(control, treated)
    difference = values[1] - values[0] - adjustment
    error = np.sqrt(np.diag(covariance))
    looks = len(difference)
    low, high = np.full(looks, -np.inf), np.full(looks, np.inf)
    p_value: Callable[[], float] = lambda: 1.0  # noqa: E731
    counting = np.flatnonzero((effective >= LEAST_EFFECTIVE) & (error > 0))
    first = int(counting[0]) if len(counting) else None
    if first is not None:
        rest, z = covariance[first:, first:], difference[first:] / error[first:]
        if planned is None:
            mixture = best_mixture(_OPEN_ENDED / (first + 1), alpha)
            time = intrinsic_time(rest)
            reach, p_value = boundary(time, mixture, alpha), lambda: float(p_values(z, time, mixture)[-1])
        else:
            simulated = Paths(rest, first=first + 1, planned=planned, count=paths)
            reach, p_value = simulated.boundary(alpha), partial(simulated.p_value, z)
        low[first:], high[first:] = (
            difference[first:] - reach * error[first:],
            difference[first:] + reach * error[first:],
        )
    return Differences(values[0], values[1], difference, error, low, high, p_value, first, effective)


def covariance_at_looks(control: Arm, treated: Arm) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the difference is made of.

    Returns:
        values of both, float64 of shape (2, looks); covariance of the difference, (looks, looks); effective number of
        users of the smaller variant, (looks,); and the adjustment to subtract from the difference, (looks,): 0
        without a period before the experiment.
    """
    arms = (control, treated)
    values, influences = zip(*(_ratio(arm.y, arm.n) for arm in arms), strict=True)
    adjustment = np.zeros(control.y.shape[1])
    if control.pre_y is not None and treated.pre_y is not None:
        adjustment, influences = _adjusted(arms, influences)
    # A comparison of one group with a known 0 has an empty control.
    effective = np.min([_effective(psi) for psi in influences if len(psi)] or np.zeros((1, len(adjustment))), axis=0)
    covariance = sum(psi.T @ psi for psi in influences)
    return np.stack(values), np.asarray(covariance), effective, adjustment


def intrinsic_time(covariance: np.ndarray) -> np.ndarray:
    """The times of the Brownian motion whose looks are no less alike than these (see above).

    Args:
        covariance: of the estimate at its looks, float of shape (looks, looks), with a positive diagonal.

    Returns:
        float64 of shape (looks,), from 1, never decreasing; infinity after a look that is not positively correlated
        with an earlier one.
    """
    error = np.sqrt(np.diag(covariance))
    alike = np.clip(covariance / np.outer(error, error), 0.0, 1.0)
    time = np.ones(len(error))
    for look in range(1, len(error)):
        with np.errstate(divide="ignore"):
            time[look] = (time[:look] / alike[:look, look] ** 2).max()
    return time


def _ratio(y: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ratio of sums at each look, and each user's influence on it; 0 where there is nothing yet."""
    total = n.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(total > 0, y.sum(axis=0) / total, 0.0)
        return value, np.where(total > 0, (y - value * n) / total, 0.0)


def _effective(influence: np.ndarray) -> np.ndarray:
    """Users that a variance effectively comes from, at each look."""
    squares = influence**2
    fourth = (squares**2).sum(axis=0)
    return np.divide(squares.sum(axis=0) ** 2, fourth, out=np.zeros_like(fourth), where=fourth > 0)


def _adjusted(arms: tuple[Arm, Arm], influences: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """CUPED (Deng, Xu, Kohavi, Walker, WSDM 2013) for ratios: subtract theta x the difference before the experiment.

    At each look the earlier period counts for users who have come so far. Its expected difference is 0, as variants are
    assigned at random; theta is the regression of the influences on those of the earlier period, over both variants.
    """
    before = []
    for arm in arms:
        assert arm.pre_y is not None
        assert arm.pre_n is not None
        y, n = (np.where(arm.n > 0, total[:, None], 0.0) for total in (arm.pre_y, arm.pre_n))
        before.append(_ratio(y, n))
    squares = sum((psi**2).sum(axis=0) for _, psi in before)
    products = sum((psi * earlier).sum(axis=0) for psi, (_, earlier) in zip(influences, before, strict=True))
    theta = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
    adjusted = tuple(psi - theta * earlier for psi, (_, earlier) in zip(influences, before, strict=True))
    return theta * (before[1][0] - before[0][0]), adjusted
