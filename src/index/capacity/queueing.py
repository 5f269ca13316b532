"""Waiting and answering times of servers that share one queue.

M/M/c by Erlang's C formula; M/G/c by the approximation of Allen and Cunneen: the mean wait of M/M/c times
(1 + cv^2) / 2, for Poisson arrivals and service times of squared coefficient of variation cv^2 (Allen, Probability,
Statistics, and Queueing Theory, 1990, section 5.4). A wait that is not zero is taken to be exponential, which it is
exactly for M/M/c. The tests hold both against a simulation of the queue.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["AnswerTime", "erlang_c", "slowest_of"]


def erlang_c(servers: int, load: float) -> float:
    """The probability that a request waits, in M/M/c.

    Args:
        servers: c.
        load: arrival rate times mean service time, in Erlang; below `servers`.
    """
    blocked = 1.0
    for server in range(1, servers + 1):
        # Erlang's B, by its recursion: no factorials that overflow.
        blocked = load * blocked / (server + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


@dataclass(frozen=True)
class AnswerTime:
    """The time from a request's arrival to its answer, at one machine.

    Attributes:
        service: float64 array, service times in seconds, all equally likely (quantiles of what was measured).
        servers: threads that serve.
        rate: requests a second; `rate` times the mean of `service` is below `servers`.
    """

    service: np.ndarray
    servers: int
    rate: float

    @property
    def utilisation(self) -> float:
        """Share of the servers that are busy."""
        return self.rate * float(self.service.mean()) / self.servers

    @property
    def mean_wait(self) -> float:
        """Mean time in the queue, in seconds (Allen, Cunneen)."""
        mean = float(self.service.mean())
        waits = erlang_c(self.servers, self.rate * mean)
        variation = float(self.service.var()) / mean**2
        return waits * mean / (self.servers * (1 - self.utilisation)) * (1 + variation) / 2

    def later_than(self, seconds: np.ndarray) -> np.ndarray:
        """The probability that an answer takes longer.

        Args:
            seconds: float array of shape (n,).
        """
        waits = erlang_c(self.servers, self.rate * float(self.service.mean()))
        left = np.asarray(seconds)[:, None] - self.service[None]
        if waits < 1e-12:
            return (left < 0).mean(axis=1)
        return np.where(left < 0, 1.0, waits * np.exp(-np.maximum(left, 0) * waits / self.mean_wait)).mean(axis=1)


def slowest_of(shards: int, time: AnswerTime, quantile: float, *, hedge_after: float | None = None) -> float:
    """A quantile of the time until the last of some machines has answered, in seconds.

    The machines are taken to be independent, so that all answer in time with the product of their probabilities (Dean,
    Barroso, The Tail at Scale, 2013). They share their arrivals, so they are slow together more often than that: the
    true quantile is lower.

    Args:
        shards: machines that each answer a part.
        time: of one machine.
        quantile: 0.99 for P99.
        hedge_after: the share of requests that are late enough for a second machine to be asked (Dean, Barroso: 0.05);
            None asks none. The further requests are to be counted in the rate.
    """
    late = 1 - quantile ** (1 / shards)
    delay = (
        math.inf if hedge_after is None else _inverse(lambda s: float(time.later_than(np.array([s]))[0]), hedge_after)
    )

    def too_late(seconds: float) -> float:
        one, other = time.later_than(np.array([seconds, seconds - delay if seconds > delay else 0.0]))
        return float(one * other) if seconds > delay else float(one)

    return _inverse(too_late, late)


def _inverse(survival: Callable[[float], float], probability: float) -> float:
    """The time that is exceeded with a probability: by doubling, then by halving."""
    high = 1e-6
    while survival(high) > probability:
        high *= 2
    low = 0.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if survival(middle) > probability else (low, middle)
    return high
