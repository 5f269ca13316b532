"""How fast searches get done, and so when it is worth to try again."""

import math
from collections import deque

__all__ = ["ServiceRate"]

_REMEMBERED = 64
_MOST = 30


class ServiceRate:
    """Remembers when the last searches ended. While all places are taken, that is the rate the service can carry."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=_REMEMBERED)

    def ended(self, now: float, places: int = 1) -> None:
        """Note the end of a search, which had so many places."""
        self._ends.extend([now] * min(places, _REMEMBERED))

    def seconds_for(self, places: int, now: float) -> int:
        """Whole seconds in which so many places get free, at the rate of the last ends and of the time since.

        Args:
            places: to be freed.
            now: the clock that `ended` was given.

        Returns:
            From 1 to 30; 1 where nothing has ended yet.
        """
        if not self._ends:
            return 1
        # Up to now: when nothing ends any more, the estimate grows.
        took = max(now - self._ends[0], 0.0)
        return min(_MOST, max(1, math.ceil(places * took / len(self._ends))))
