"""Tells a burst from an overload."""

import math

__all__ = ["StandingLoad"]

_SECONDS = 0.05
_BEGINS, _ENDS = 0.8, 0.4


class StandingLoad:
    """Whether a number of searches in flight was reached nearly all of the time lately.

    A burst fills a queue that then empties; an overload keeps it full, and makes all requests late. The time for which
    the queue stands decides, not its length: the idea of CoDel (Nichols and Jacobson, "Controlling Queue Delay", ACM
    Queue 2012). The share of time is averaged with an exponential window of 50 ms, so that a full load counts as an
    overload after 80 ms.
    """

    def __init__(self, level: int) -> None:
        """Start idle; `level` is the number in flight."""
        self._level = level
        self._share = self._since = 0.0
        self._reached = self._stands = False

    def changed(self, in_flight: int, now: float) -> None:
        """Note how many are in flight from now on; `now` in seconds, never falling."""
        self._share, self._stands = self._share_at(now), self.stands(now)
        self._reached, self._since = in_flight >= self._level, now

    def stands(self, now: float) -> bool:
        """Whether there is an overload."""
        return self._share_at(now) > (_ENDS if self._stands else _BEGINS)

    def _share_at(self, now: float) -> float:
        kept = math.exp((self._since - now) / _SECONDS)
        return kept * self._share + (1 - kept) * self._reached
