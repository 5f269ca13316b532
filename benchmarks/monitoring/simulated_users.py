"""Users who come back over days and click, buy or return goods: simulated, without an effect or with a planted one."""

from dataclasses import dataclass

import numpy as np

from src.monitoring.experiments.looks import Arm

__all__ = ["DAYS", "Behaviour", "draw_arm"]

DAYS = 28


@dataclass(frozen=True)
class Behaviour:
    """How the users of one variant behave.

    Attributes:
        users: of each variant; their first days are drawn uniformly.
        visits: expected later visits a day; each user has a level of its own, Gamma distributed.
        shape: of that Gamma; small values make few users come very often.
        results: impressions a visit.
        rate: of clicks.
        icc: correlation of two impressions of one user; rates are Beta distributed over users.
        returned: share of successes that is taken back on a later day (returned goods).
    """

    users: int = 2_000
    visits: float = 0.15
    shape: float = 1.0
    results: int = 10
    rate: float = 0.1
    icc: float = 0.1
    returned: float = 0.0


def draw_arm(rng: np.random.Generator, how: Behaviour, *, lift: float = 0.0, before: bool = False) -> Arm:
    """One variant's totals at the end of each day.

    Args:
        rng: source of randomness.
        how: the behaviour.
        lift: relative change of everybody's rate.
        before: draw a period of as many days before the experiment as well, with the rates of before.
    """
    scale = (1 - how.icc) / how.icc
    rate = rng.beta(how.rate * scale, (1 - how.rate) * scale, how.users)
    level = rng.gamma(how.shape, how.visits / how.shape, how.users)
    first = rng.integers(0, DAYS, how.users)
    visits = rng.poisson(level[:, None], (how.users, DAYS))
    visits[np.arange(DAYS) < first[:, None]] = 0
    visits[np.arange(how.users), first] += 1
    shown = visits * how.results
    clicks = rng.binomial(shown, np.minimum(rate * (1 + lift), 1.0)[:, None])
    y = np.cumsum(clicks, axis=1).astype(np.float64)
    if how.returned:
        # What is taken back goes on the day after.
        y[:, 1:] -= np.cumsum(rng.binomial(clicks[:, :-1], how.returned), axis=1)
    n = np.cumsum(shown, axis=1).astype(np.float64)
    if not before:
        return Arm(y, n)
    pre_n = rng.poisson(level * DAYS) * how.results
    return Arm(y, n, rng.binomial(pre_n, rate).astype(np.float64), pre_n.astype(np.float64))
