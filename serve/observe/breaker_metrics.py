"""What circuit breakers tell an operator."""

import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from serve.breaker import BreakerState

__all__ = ["BreakerMetrics"]

_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

_log = logging.getLogger("serve")


class BreakerMetrics:
    """One state and one count of openings for each dependency."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._state = Gauge(
            "lookalike_breaker_state", "A dependency's circuit breaker: 0 closed, 1 half-open, 2 open.",
            ["dependency"], registry=registry,
        )  # fmt: skip
        self._opened = Counter(
            "lookalike_breaker_opened", "Times that a dependency was found not to answer.", ["dependency"],
            registry=registry,
        )  # fmt: skip

    def watch(self, dependency: str) -> Callable[[BreakerState], None]:
        """What a breaker of this dependency tells its changes to; they are logged, too."""
        self._state.labels(dependency).set(_NUMBERS[BreakerState.CLOSED])
        opened = self._opened.labels(dependency)

        def changed(state: BreakerState) -> None:
            self._state.labels(dependency).set(_NUMBERS[state])
            if state is BreakerState.OPEN:
                opened.inc()
                _log.warning("%s does not answer as it should: going on without it", dependency)
            elif state is BreakerState.CLOSED:
                _log.info("%s answers again", dependency)

        return changed
