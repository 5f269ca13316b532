"""Admission at the door: how many searches may be in the process at once."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from serve.errors import Problem, problem_response
from serve.observe.metrics import Metrics

__all__ = ["Admission"]

_SEARCHES = re.compile(r"/v1/search|/v1/items/.*/similar", re.DOTALL)


class Admission:
    """Refuses a search with 503 while too many are in flight.

    It counts from before the body is read until the answer is sent: bounding one queue inside would only move the pile
    to the stage before it. Probes, pictures and the page are always let in.
    """

    def __init__(self, app: ASGIApp, *, limit: int, metrics: Metrics) -> None:
        self._app = app
        self._limit = limit
        self._metrics = metrics
        self._in_flight = 0  # Only the event loop's thread touches it.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http" or not _SEARCHES.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._limit:
            self._metrics.rejected.inc()
            problem = Problem(
                503,
                kind="overloaded",
                detail=f"{self._limit} searches are in flight, which is the limit; try again in a second",
                headers={"Retry-After": "1"},
            )
            await problem_response(problem, scope)(scope, receive, send)
            return
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
