"""The names of our metrics, as in metrics.json: `recall@1`, `map@r`, `mrr`, ..."""

import re
from collections.abc import Sequence

from src.contracts.errors import ConfigError
from src.contracts.settings.evaluate import METRICS

__all__ = ["COUNTS", "metrics_at_k"]

COUNTS = ("queries", "queries_without_positives")
"""How many queries were measured, and how many were left out."""

_WITHOUT_K = ("map@r", "r_precision", "mrr", *COUNTS)


def metrics_at_k(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The metrics among some names that take a K, and their Ks, as `Protocol.metrics` has them.

    Raises:
        ConfigError: a name that no metric has, or none at all.
    """
    found: dict[str, set[int]] = {}
    for name in names:
        taken = re.fullmatch(rf"({'|'.join(METRICS)})@([1-9]\d*)", name)
        if taken:
            found.setdefault(taken[1], set()).add(int(taken[2]))
        elif name not in _WITHOUT_K:
            allowed = ", ".join([*(f"{metric}@K" for metric in METRICS), *_WITHOUT_K])
            raise ConfigError(f"`{name}`: no such metric; name one of {allowed}, with a whole number from 1 for K")
    if not names:
        raise ConfigError("`names=[]`: name at least one metric, such as recall@1")
    return {name: tuple(sorted(ks)) for name, ks in found.items()}
