"""Stop asking what does not answer (Nygard, Release It!, "Circuit Breaker")."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

__all__ = ["Breaker", "BreakerOpenError", "BreakerState"]

_RECENT = 20
"""Outcomes that a breaker judges by: a dependency that fails every other time is as useless as a dead one."""


class BreakerState(StrEnum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    """Lets all through."""
    OPEN = "open"
    """Refuses all."""
    HALF_OPEN = "half_open"
    """Lets one through, the probe, and refuses the others until it is known how that one went."""


class BreakerOpenError(Exception):
    """The call was not made: the dependency has failed lately."""


class Breaker:
    """Opens after failures among the last 20 calls; after a pause one probe decides whether it closes again.

    Knows no dependency and no clock of its own. Not thread-safe: one thread calls it, the event loop's.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        pause: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[BreakerState], None] = lambda _: None,
    ) -> None:
        """Begin closed.

        Args:
            failures: so many among the last 20 outcomes open it, 1 to 20.
            pause: seconds from opening to the probe, and from a failed probe to the next.
            clock: seconds, monotonic.
            on_change: told each new state.
        """
        if not 1 <= failures <= _RECENT:
            raise ValueError(f"failures={failures}: must lie in 1..{_RECENT}")
        self._failures = failures
        self._pause = pause
        self._clock = clock
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._opened = 0.0
        self._period = 0
        """Counts the changes of state, so that a call from before one says nothing about what came after."""

    @property
    def state(self) -> BreakerState:
        """What the next call would meet: an open breaker whose pause is over is still `OPEN` until somebody calls."""
        return self._state

    @contextmanager
    def call(
        self, *, spares: tuple[type[Exception], ...] = (), undecided: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """Make one call in the block; an exception that leaves it is a failure of the dependency.

        Args:
            spares: exceptions that are not its fault; to it the call went well.
            undecided: exceptions that say nothing about it, neither good nor bad.

        Raises:
            BreakerOpenError: the block was not run.
        """
        period = self._enter()
        try:
            yield
        except spares:
            self._went_well(period)
            raise
        except undecided:
            self._undecided(period)
            raise
        except Exception:
            self._failed(period)
            raise
        except BaseException:  # Cancelled: nothing was learnt, and the next call may be the probe.
            self._undecided(period)
            raise
        self._went_well(period)

    def _enter(self) -> int:
        if self._state is BreakerState.CLOSED:
            return self._period
        if self._state is BreakerState.OPEN and self._clock() - self._opened >= self._pause:
            self._become(BreakerState.HALF_OPEN)
            return self._period
        raise BreakerOpenError

    def _went_well(self, period: int) -> None:
        if period != self._period:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._become(BreakerState.CLOSED)
        self._recent.append(True)

    def _failed(self, period: int) -> None:
        if period != self._period:
            return
        self._recent.append(False)
        if self._state is BreakerState.HALF_OPEN or self._recent.count(False) >= self._failures:
            self._opened = self._clock()
            self._become(BreakerState.OPEN)

    def _undecided(self, period: int) -> None:
        if period == self._period and self._state is BreakerState.HALF_OPEN:
            self._become(BreakerState.OPEN)  # Since `_opened`, long past: the next call is a probe.

    def _become(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
        self._recent.clear()
        self._on_change(state)
