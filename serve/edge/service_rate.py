"""How fast searches get done, and so how long one more would wait."""

import math

__all__ = ["ServiceRate"]

_REMEMBERED = 64
_LEAST = 16
"""Ends before anything is said: the first searches of a process are slow."""
_MOST = 30


class ServiceRate:
    """Seconds for each search that ends, while so many are in flight that they wait for each other.

    By Little's law that many times the searches in flight is what the last of them takes. Time with fewer in flight
    does not count: then it is those who ask that set the rate. Averaged exponentially over about 64 ends.
    """

    def __init__(self, busy: int) -> None:
        """Know nothing yet; time counts from `busy` searches in flight on."""
        self._busy = busy
        self._in_flight = 0
        self._since = 0.0
        self._seconds = 0.0
        self._ends = 0.0

    def changed(self, in_flight: int, now: float) -> None:
        """Note how many are in flight from now on; `now` in seconds, never falling."""
        if self._in_flight >= self._busy:
            ended = max(0, self._in_flight - in_flight)
            kept = math.exp(-ended / _REMEMBERED)
            self._seconds = kept * (self._seconds + now - self._since)
            self._ends = kept * (self._ends + ended)
        self._in_flight, self._since = in_flight, now

    def seconds(self, places: int, now: float) -> float:
        """Seconds in which so many places get free, at the rate of the last ends and of the time since; 0 at first."""
        if self._ends < _LEAST:
            return 0.0
        # Up to now: when nothing ends any more, the estimate grows.
        running = now - self._since if self._in_flight >= self._busy else 0.0
        return places * (self._seconds + running) / self._ends

    def retry_after(self, places: int, now: float) -> int:
        """The same in whole seconds, from 1 to 30."""
        return min(_MOST, max(1, math.ceil(self.seconds(places, now))))
