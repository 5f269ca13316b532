"""Boundaries that hold at all looks together: the half-normal mixture of a Brownian motion, and its sequential p-value.

For a Brownian motion W in time t and each k > 0,

    E(t) = 2 / sqrt(1 + k t) * exp(u^2 / 2) * Phi(u),    u = W sqrt(k / (1 + k t))

is a martingale that starts at 1, so that P(E(t) >= 1 / a at any time t) <= a (Ville's inequality). It is the average of
exp(l W - l^2 t / 2) over a half-normal l of variance k (Robbins, Ann. Math. Stat. 1970; Howard, Ramdas, McAuliffe,
Sekhon, Ann. Stat. 2021, proposition 5). With sums in the place of W it holds asymptotically (Waudby-Smith, Arbour,
Sinha, Kennedy, Ramdas, Ann. Stat. 2024). `looks.py` says which time a sum has whose users come back.
"""

import numpy as np
from scipy import special

__all__ = ["best_mixture", "boundary", "p_values"]


def best_mixture(time: float, alpha: float) -> float:
    """The mixture's variance `k` that gives the narrowest boundary at one time.

    Args:
        time: the intrinsic time at which a decision is planned, > 0.
        alpha: error of both tails together.

    Returns:
        k = (-W(-alpha^2 / e) - 1) / time, with the lower branch of Lambert's W (Waudby-Smith et al. 2024, appendix
        B.2).
    """
    return float((-special.lambertw(-(alpha**2) * np.exp(-1), k=-1).real - 1) / time)


def boundary(time: np.ndarray, mixture: float, alpha: float) -> np.ndarray:
    """How many standard errors an estimate may be from the truth, at each look.

    Args:
        time: intrinsic time of each look, float of shape (looks,), > 0; infinity gives an infinite boundary.
        mixture: `k` above.
        alpha: error of both tails together, over all looks together.

    Returns:
        float64 of shape (looks,).
    """
    spread = mixture * np.asarray(time, dtype=np.float64)
    # In each tail E = 2 / alpha: u^2 / 2 + log Phi(u) = log(sqrt(1 + k t) / alpha). The left side grows with u.
    wanted = 0.5 * np.log1p(spread) - np.log(alpha)
    u = np.sqrt(2 * wanted)
    for _ in range(20):
        slope = u + np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) / special.ndtr(u)
        with np.errstate(invalid="ignore"):
            u = u - np.where(np.isfinite(u), (u**2 / 2 + special.log_ndtr(u) - wanted) / slope, 0.0)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(spread), u * np.sqrt(1 + 1 / spread), np.inf)


def p_values(z: np.ndarray, time: np.ndarray, mixture: float) -> np.ndarray:
    """Sequential p-values: stopped at any look, each is at most `a` with probability `a` where there is no effect.

    Args:
        z: estimate divided by its standard error at each look, float of shape (looks,).
        time: intrinsic time of each look, of the same shape.
        mixture: `k` above.

    Returns:
        float64 of shape (looks,), never increasing: the smallest alpha whose boundary was crossed so far.
    """
    spread = mixture * np.asarray(time, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        u = np.abs(z) * np.sqrt(np.where(np.isfinite(spread), spread / (1 + spread), 1.0))
    evidence = u**2 / 2 + special.log_ndtr(u) + np.log(2) - 0.5 * np.log1p(spread)
    return np.minimum.accumulate(np.exp(np.minimum(np.log(2) - evidence, 0.0)))
