"""Token bucket: a rate in the long run, and a burst of one second's requests."""

import math
import time
from collections.abc import Callable

__all__ = ["Bucket"]


class Bucket:
    """Fills by `rate` tokens a second up to its size; a request takes one."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.size = max(1.0, rate)
        self._tokens = self.size
        self._clock = clock
        self._filled = clock()

    def take(self) -> float:
        """Take a token.

        Returns:
            0 where there was one; else the seconds until there is.
        """
        if math.isinf(self.rate):
            return 0.0
        now = self._clock()
        self._tokens = min(self.size, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate
