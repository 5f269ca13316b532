"""A replica as a queue: how long an answer takes at a rate, from what was measured without and with full load.

Service takes c servers, the cores; full load gives the mean service time, c over the capacity. A request waits with
Erlang's C, and then exponentially, by the approximation of Allen and Cunneen (see `src.index.capacity.queueing`); the
answer takes what it took without load, and the wait. Two parameters, both measured away from the loads that the model
is judged at. What it leaves out: batches that grow with the load make a request cheaper, and longer.
"""

import math
from dataclasses import dataclass

import numpy as np

from src.index.capacity.queueing import erlang_c

__all__ = ["Replica", "replicas_for"]


@dataclass(frozen=True)
class Replica:
    """One replica.

    Attributes:
        unloaded: float64 array, times of answers without load, in seconds.
        capacity: requests a second under full load.
        cores: that it has.
    """

    unloaded: np.ndarray
    capacity: float
    cores: int

    def quantile(self, quantile: float, rate: float, *, varied: bool) -> float:
        """A quantile of the time to an answer, in seconds; infinite at the capacity and above.

        Args:
            quantile: 0.99 for P99.
            rate: requests a second, Poisson.
            varied: M/G/c, service times vary as the unloaded ones do; else M/D/c, they are all alike.
        """
        if rate >= self.capacity:
            return math.inf
        mean = self.cores / self.capacity
        waits = erlang_c(self.cores, rate * mean)
        variation = float(np.var(self.unloaded) / np.mean(self.unloaded) ** 2) if varied else 0.0
        mean_wait = waits * mean / (self.cores * (1 - rate / self.capacity)) * (1 + variation) / 2
        low, high = 0.0, float(self.unloaded.max()) + 40 * mean_wait / max(waits, 1e-12)
        for _ in range(60):
            middle = (low + high) / 2
            left = middle - self.unloaded
            tail = waits * np.exp(-np.maximum(left, 0) * waits / max(mean_wait, 1e-12))
            late = float(np.where(left < 0, 1.0, tail).mean())
            low, high = (middle, high) if late > 1 - quantile else (low, middle)
        return high


def replicas_for(replica: Replica, rate: float, *, p99: float, utilisation: float) -> int | None:
    """The fewest replicas that share a rate, so that P99 holds by M/G/c and none is busier than it may be.

    Args:
        replica: one of them.
        rate: requests a second in all, split at random.
        p99: seconds.
        utilisation: share of its capacity that a replica may carry.

    Returns:
        Their number; None where even an idle replica is too slow.
    """
    if replica.quantile(0.99, 1e-9, varied=True) > p99:
        return None
    count = math.ceil(rate / (utilisation * replica.capacity))
    while replica.quantile(0.99, rate / count, varied=True) > p99:
        count += 1
    return count
