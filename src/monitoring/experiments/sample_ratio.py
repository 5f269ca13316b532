"""Were users assigned in the planned shares? A check that may be read at any time.

The multinomial test of Lindon and Malek (NeurIPS 2022): the likelihood of the assignments under a Dirichlet prior
around the planned shares, divided by that under the shares themselves. Where these are true, that ratio is a
martingale that starts at 1, and exceeds 1 / a at any time with probability at most a.
"""

import numpy as np
from scipy import special

from src.contracts.errors import ConfigError

__all__ = ["CONCENTRATION", "sample_ratio_p_values"]

CONCENTRATION = 10_000.0
"""Users that the prior counts for. It makes the test strongest for shares that are off by about one per cent."""


def sample_ratio_p_values(
    counts: np.ndarray, shares: np.ndarray, *, concentration: float = CONCENTRATION
) -> np.ndarray:
    """Sequential p-values of the planned shares.

    Args:
        counts: users of each variant since the start, each user once, int of shape (looks, variants).
        shares: planned shares, float of shape (variants,), each > 0, with sum 1.
        concentration: of the prior.

    Returns:
        float64 of shape (looks,), never increasing.

    Raises:
        ConfigError: shares that are not positive, or do not sum to 1.
    """
    shares = np.asarray(shares, dtype=np.float64)
    if (shares <= 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise ConfigError(f"planned shares {shares.tolist()}: each must be positive, and their sum 1")
    prior = concentration * shares
    logs = special.gammaln(concentration) - special.gammaln(concentration + counts.sum(axis=1))
    logs = logs + (special.gammaln(prior + counts) - special.gammaln(prior) - counts * np.log(shares)).sum(axis=1)
    return np.minimum.accumulate(np.exp(np.minimum(-logs, 0.0)))
