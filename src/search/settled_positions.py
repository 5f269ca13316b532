"""Which writes every search sees by now, whatever its consistency."""

import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["SettledPositions"]

_SECONDS = 10.0
"""A Bounded search of Milvus is at most 5 s behind (its `common.gracefulTime`)."""
_MOST = 10_000


class SettledPositions:
    """Remembers when each position of a write was first named.

    A client has a position once its write is done, so that Bounded searches see it some seconds after it was first
    named. Positions are compared one by one: of two writes at once, the smaller may be done later. The event loop's
    thread uses it.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know none; `clock` is in seconds, monotonic."""
        self._clock = clock
        self._named: OrderedDict[int, float] = OrderedDict()

    def settled(self, position: int) -> bool:
        """Whether a search of any consistency sees it; notes that it was named."""
        now = self._clock()
        first = self._named.setdefault(position, now)
        if len(self._named) > _MOST:
            self._named.popitem(last=False)
        return now - first >= _SECONDS
