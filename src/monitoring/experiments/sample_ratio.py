"""Were users assigned in the planned shares? A check that may be read at any time.

The multinomial test of Lindon and Malek (NeurIPS 2022): the likelihood of the assignments under a Dirichlet prior
around the planned shares, divided by that under the shares themselves. Where these are true, that ratio is a
martingale that starts at 1, and exceeds 1 / a at any time with probability at most a.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from src.contracts.errors import ConfigError

__all__ = ["CONCENTRATIONS", "sample_ratio_p_values"]

CONCENTRATIONS = (100.0, 1_000.0, 10_000.0, 100_000.0)
"""Users that the priors count for; the evidence is the mean over them. The first finds gross errors within some hundred
users, the last finds shares that are off by some parts in a thousand."""


def sample_ratio_p_values(
    counts: np.ndarray, shares: np.ndarray, *, concentrations: Sequence[float] = CONCENTRATIONS
) -> np.ndarray:
    """Sequential p-values of the planned shares.

    Args:
        counts: users of each variant since the start, each user once, int of shape (looks, variants).
        shares: planned shares, float of shape (variants,), each > 0, with sum 1.
        concentrations: of the priors.

    Returns:
        float64 of shape (looks,), never increasing.

    Raises:
        ConfigError: shares that are not positive, or do not sum to 1.
    """
    shares = np.asarray(shares, dtype=np.float64)
    if (shares <= 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise ConfigError(f"planned shares {shares.tolist()}: each must be positive, and their sum 1")
    logs = []
    for total in concentrations:
        prior = total * shares
        whole = special.gammaln(total) - special.gammaln(total + counts.sum(axis=1))
        each = special.gammaln(prior + counts) - special.gammaln(prior) - counts * np.log(shares)
        logs.append(whole + each.sum(axis=1))
    evidence = special.logsumexp(logs, axis=0) - np.log(len(logs))
    return np.minimum.accumulate(np.exp(np.minimum(-evidence, 0.0)))
