"""A circuit breaker: stops calls to a dependency that fails (Nygard, Release It!, "Circuit Breaker")."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

__all__ = ["Breaker", "BreakerOpenError", "BreakerState"]

_RECENT = 20
_FAILURES = 5
_PAUSE = 1.0


class BreakerState(IntEnum):
    """The state of a breaker; the numbers are those of the metric `lookalike_breaker_state`."""

    CLOSED = 0
    """Lets all calls through."""
    HALF_OPEN = 1
    """Lets one call through, the probe, and refuses the others until the probe has ended."""
    OPEN = 2
    """Refuses all calls."""


class BreakerOpenError(Exception):
    """The call was not made, because the dependency has failed lately."""


class Breaker:
    """Opens after 5 failures among the last 20 calls; a second later one probe decides whether it closes again.

    Not thread-safe: the event loop's thread uses it. An open breaker whose pause is over is `OPEN` until the next call.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, on_change: Callable[[BreakerState], None] = lambda _: None
    ) -> None:
        """Start closed; `clock` is in seconds, monotonic, and `on_change` is called with each new state."""
        self.state = BreakerState.CLOSED
        self._clock = clock
        self._on_change = on_change
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._opened = 0.0
        # Counts state changes: the outcome of a call that began before a change is ignored.
        self._period = 0

    @contextmanager
    def call(
        self, *, spares: tuple[type[Exception], ...] = (), undecided: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """Run the block as one call, or raise `BreakerOpenError` without running it.

        An exception that leaves the block counts as a failure of the dependency, but one of `spares` as a success (the
        request was wrong), and one of `undecided` as neither.
        """
        if self.state is BreakerState.OPEN and self._clock() - self._opened >= _PAUSE:
            self._become(BreakerState.HALF_OPEN)
        elif self.state is not BreakerState.CLOSED:
            raise BreakerOpenError
        period = self._period
        success: bool | None = None
        try:
            yield
            success = True
        except spares:
            success = True
            raise
        except undecided:
            raise
        except Exception:
            success = False
            raise
        finally:
            if period == self._period:
                self._note(success)

    def _note(self, success: bool | None) -> None:
        probing = self.state is BreakerState.HALF_OPEN
        if success is None:
            if probing:
                self._become(BreakerState.OPEN)  # `_opened` is unchanged, so the next call is a probe.
            return
        if success and probing:
            self._become(BreakerState.CLOSED)
        self._recent.append(success)
        if (probing and not success) or self._recent.count(False) >= _FAILURES:
            self._opened = self._clock()
            self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._period += 1
        self._recent.clear()
        self._on_change(state)
