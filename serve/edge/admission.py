"""Admission at the door: how many searches may be in the process at once."""

import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge.body_length import body_length
from serve.edge.service_rate import ServiceRate
from serve.edge.standing_load import StandingLoad
from serve.errors import Problem, problem_response
from serve.observe.metrics import Metrics

__all__ = ["Admission"]

_SEARCHES = re.compile(r"/v1/search(/batch|/text)?|/v1/regions|/v1/explain|/v1/items/.*/similar", re.DOTALL)

_UPLOADS = 32
"""Bodies that may be arriving for each search that may be in flight."""


class Admission:
    """Refuses a search with 503 while too many are in flight, before its body is read.

    One is in flight from when its body has arrived until its answer is sent: bounding one queue inside would only move
    the pile to the stage before it. While a body arrives it counts among the uploads, of which there may be many more,
    bounded in bytes: a few clients on slow lines, or of bad will, cannot keep the others out. Probes, pictures and the
    page are always let in.

    Of the places, `standing` may be taken for long: once they have been nearly all of the time, no more are given until
    the load falls. So a burst finds a queue, and an overload finds none that would make those it lets in late.

    A batch has one place until its images are counted; then `scope["state"]["take_places"]`, called with the number of
    further places, takes them or raises the same refusal.
    """

    def __init__(self, app: ASGIApp, *, limit: int, standing: int, max_body: int, metrics: Metrics) -> None:
        """Let nobody in yet.

        Args:
            app: what is behind.
            limit: searches in flight at most.
            standing: of these for long; `limit` or more refuses by the limit alone.
            max_body: bytes of the largest body that is taken at all.
            metrics: where searches, uploads and refusals are counted.
        """
        self._app = app
        self._limit = limit
        self._max_body = max_body
        self._metrics = metrics
        self._rate = ServiceRate()
        self._standing = standing
        self._load = StandingLoad(max(1, standing - 1))  # One place is free for a moment whenever a search ends.
        # Only the event loop's thread touches them.
        self._in_flight = 0
        self._uploads = 0
        self._upload_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http" or not _SEARCHES.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        announced = body_length(scope)
        length = min(self._max_body if announced is None else announced, self._max_body)
        try:
            self._check(1, length)
        except Problem as problem:
            await problem_response(problem, scope)(scope, receive, send)
            return
        places, uploading = 0, 0

        def take_places(more: int) -> None:
            nonlocal places
            self._take(more)
            places += more

        def upload(count: int) -> None:
            nonlocal uploading
            uploading += count
            self._uploads += count
            self._upload_bytes += count * length
            self._metrics.uploads.set(self._uploads)

        async def receive_watched() -> Message:
            message = await receive()
            if uploading and not message.get("more_body", False):
                upload(-1)
                if message["type"] == "http.request":
                    take_places(1)  # Raised inside the route that reads the body, whose error handler answers.
            return message

        scope["state"]["take_places"] = take_places
        try:
            if length:
                upload(1)
                await self._app(scope, receive_watched, send)
            else:
                take_places(1)
                await self._app(scope, receive, send)
        finally:
            if uploading:
                upload(-1)
            if places:
                self._set_in_flight(self._in_flight - places)
                self._rate.ended(time.monotonic(), places)

    def _check(self, places: int, length: int = 0) -> None:
        wanted, now = self._in_flight + places, time.monotonic()
        limit = self._limit
        if wanted > self._standing and self._load.stands(now):
            limit = min(limit, self._standing)
        if wanted > limit:
            raise self._refusal(
                f"{self._in_flight} searches are in flight, at most {limit} may be",
                self._rate.seconds_for(wanted - 1, now),
            )
        if length and self._uploads >= _UPLOADS * self._limit:
            raise self._refusal(f"{self._uploads} photos are arriving, which is the limit", 1)
        if self._upload_bytes + length > self._limit * self._max_body:
            raise self._refusal(f"photos of {self._upload_bytes:,} bytes are arriving, which is the limit", 1)

    def _take(self, places: int) -> None:
        self._check(places)
        self._set_in_flight(self._in_flight + places)

    def _set_in_flight(self, count: int) -> None:
        self._in_flight = count
        self._load.changed(count, time.monotonic())
        self._metrics.in_flight.set(count)

    def _refusal(self, why: str, seconds: int) -> Problem:
        self._metrics.rejected.inc()
        return Problem(
            503,
            kind="overloaded",
            detail=f"{why}; try again in {seconds} second{'s' if seconds > 1 else ''}",
            headers={"Retry-After": str(seconds)},
        )
