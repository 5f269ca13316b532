"""Admission at the door: how many searches may be in the process at once."""

import re
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from serve.edge.service_rate import ServiceRate
from serve.errors import Problem, problem_response
from serve.observe.metrics import Metrics

__all__ = ["Admission"]

_SEARCHES = re.compile(r"/v1/search(/batch|/text)?|/v1/regions|/v1/explain|/v1/items/.*/similar", re.DOTALL)


class Admission:
    """Refuses a search with 503 while too many are in flight.

    It counts from before the body is read until the answer is sent: bounding one queue inside would only move the pile
    to the stage before it. Probes, pictures and the page are always let in.

    A batch has one place until its images are counted; then `scope["state"]["take_places"]`, called with the number of
    further places, takes them or raises the same refusal.
    """

    def __init__(self, app: ASGIApp, *, limit: int, metrics: Metrics) -> None:
        self._app = app
        self._limit = limit
        self._metrics = metrics
        self._rate = ServiceRate()
        self._in_flight = 0  # Only the event loop's thread touches it.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http" or not _SEARCHES.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            self._take(1)
        except Problem as problem:
            await problem_response(problem, scope)(scope, receive, send)
            return
        places = 1

        def take_places(more: int) -> None:
            nonlocal places
            self._take(more)
            places += more

        scope["state"]["take_places"] = take_places
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= places
            self._metrics.in_flight.set(self._in_flight)
            self._rate.ended(time.monotonic(), places)

    def _take(self, places: int) -> None:
        if self._in_flight + places > self._limit:
            self._metrics.rejected.inc()
            seconds = self._rate.seconds_for(self._in_flight + places - 1, time.monotonic())
            raise Problem(
                503,
                kind="overloaded",
                detail=f"{self._in_flight} searches are in flight, at most {self._limit} may be; try again in "
                f"{seconds} second{'s' if seconds > 1 else ''}",
                headers={"Retry-After": str(seconds)},
            )
        self._in_flight += places
        self._metrics.in_flight.set(self._in_flight)
