"""Admission: how many searches may be in flight at once."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from serve.edge.standing_load import StandingLoad
from serve.errors import overloaded
from serve.metrics import Metrics

__all__ = ["Admission"]

_REMEMBERED = 64
_LONGEST = 30
"""Seconds; the largest `Retry-After`."""


class Admission:
    """Refuses a search with 503 while too many are in flight.

    A search is in flight from when its body has arrived until its answer is made: a client that sends slowly, or only
    announces a body, holds no place. A batch takes a place for each of its photos.

    While an overload lasts, only `standing` of the places are given: a burst finds a queue, and in an overload nobody
    who is admitted waits behind a full one. Only the event loop's thread uses it.
    """

    def __init__(self, *, limit: int, standing: int, metrics: Metrics, what: str = "searches") -> None:
        """Start empty; messages name `what` is limited, and `lookalike_searches_in_flight` counts only `searches`."""
        self._limit = limit
        self._standing = standing
        self._metrics = metrics
        self._what = what
        self._load = StandingLoad(max(1, standing - 1))  # Whenever a search ends, a place is free for a moment.
        self._ends: deque[float] = deque(maxlen=_REMEMBERED)
        self._in_flight = 0

    @contextmanager
    def place(self, places: int = 1) -> Iterator[None]:
        """Hold places within the block; raises `Problem` 503 where there are not so many."""
        self.check(places)
        self._set(self._in_flight + places)
        try:
            yield
        finally:
            self._set(self._in_flight - places)
            self._ends.extend([time.monotonic()] * min(places, _REMEMBERED))

    def check(self, places: int = 1) -> None:
        """Raise `Problem` 503 unless there are so many free places."""
        wanted, now = self._in_flight + places, time.monotonic()
        limit = self._limit
        if wanted > self._standing and self._load.stands(now):
            limit = min(limit, self._standing)
        if wanted > limit:
            self._metrics.rejected.inc()
            # Until so many places become free, at the rate of the last 64 ends and of the time since.
            seconds = (wanted - 1) * (now - self._ends[0]) / len(self._ends) if self._ends else 1
            why = f"{self._in_flight} {self._what} are in flight, at most {limit} may be"
            raise overloaded(why, seconds=min(_LONGEST, max(1, math.ceil(seconds))))

    def _set(self, count: int) -> None:
        self._in_flight = count
        self._load.changed(count, time.monotonic())
        if self._what == "searches":
            self._metrics.in_flight.set(count)
