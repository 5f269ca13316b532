"""How many changes of items may be in the process at once."""

from starlette.types import ASGIApp, Receive, Scope, Send

from serve.errors import Problem, problem_response
from serve.observe.metrics import Metrics

__all__ = ["WriteLimit"]

_AT_ONCE = 8
"""Each may hold a whole upload in memory while it waits for its turn; two embed at a time, one is written."""
_WRITES = frozenset({"PUT", "PATCH", "DELETE"})


class WriteLimit:
    """Refuses a change with 503 while others wait for their turn: who sends many then waits with what it sends."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._in_flight = 0  # Only the event loop's thread touches it.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http" or scope["method"] not in _WRITES:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= _AT_ONCE:
            self._metrics.rejected.inc()
            detail = f"{_AT_ONCE} changes are in flight, which is the limit; try again in a second"
            problem = Problem(503, kind="overloaded", detail=detail, headers={"Retry-After": "1"})
            await problem_response(problem, scope)(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
