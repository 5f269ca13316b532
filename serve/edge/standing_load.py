"""Telling a burst from an overload."""

import math

__all__ = ["StandingLoad"]

_SECONDS = 0.05
_BEGINS, _ENDS = 0.8, 0.4


class StandingLoad:
    """Whether a number of searches in flight was reached nearly all of the time lately.

    A burst fills a queue that then empties; under overload it never does, and only makes everybody late. Refusing by
    how long the queue has been standing, not by its length, is CoDel's idea (Nichols and Jacobson, "Controlling Queue
    Delay", ACM Queue 2012). The share of time is averaged with an exponential window of 50 ms; from idle, 80 ms of full
    load pass until it counts as standing.
    """

    def __init__(self, level: int) -> None:
        """Begin idle; `level` is the number in flight."""
        self._level = level
        self._share = 0.0
        self._reached = False
        self._since = 0.0
        self._stands = False

    def changed(self, in_flight: int, now: float) -> None:
        """Note how many are in flight from now on; `now` in seconds, never falling."""
        self._share = self._share_at(now)
        self._stands = self.stands(now)
        self._reached = in_flight >= self._level
        self._since = now

    def stands(self, now: float) -> bool:
        """Whether it does."""
        return self._share_at(now) > (_ENDS if self._stands else _BEGINS)

    def _share_at(self, now: float) -> float:
        kept = math.exp((self._since - now) / _SECONDS)
        return kept * self._share + (1 - kept) * self._reached
