"""The limits of a request's body: its size, its time to arrive, and the memory of all bodies that are arriving."""

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import Problem, overloaded, problem_response
from serve.metrics import Metrics

__all__ = ["BodyLimit"]


class BodyLimit:
    """ASGI middleware. Counts the bytes that have arrived, not those that a head announces.

    The problems are raised where the route reads the body, and the route's error handler answers them. An answer to a
    body that is not read to its end says `Connection: close`: the server closes the connection, and a client that takes
    it for usable would lose its next request.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float, metrics: Metrics) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._budget = max(4 * max_bytes, 256 * 1024 * 1024)
        self._seconds = seconds
        self._metrics = metrics
        self._arriving = 0  # Only the event loop's thread touches it.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            await problem_response(self._too_large(f"{int(announced):,}"), scope)(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._seconds
        received, complete = 0, False

        def count(size: int) -> None:
            nonlocal received
            received += size
            self._arriving += size
            self._metrics.upload_bytes.set(self._arriving)

        async def receive_limited() -> Message:
            nonlocal complete
            if complete:
                return await receive()  # The route waits for the client to leave.
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                detail = f"the body did not arrive within {self._seconds:g} seconds"
                raise Problem(408, kind="slow-upload", detail=detail) from None
            count(len(message.get("body", b"")))
            if received > self._max_bytes:
                raise self._too_large(f"over {self._max_bytes:,}")
            if self._arriving > self._budget:
                raise overloaded(f"{self._arriving:,} bytes of photos are arriving, which is the limit")
            complete = not message.get("more_body", False)
            if complete:
                count(-received)  # From here on, admission counts it.
            return message

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not complete:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        has_body = announced != "0" or "transfer-encoding" in headers
        try:
            await self._app(scope, receive_limited, send_closing if has_body else send)
        finally:
            if not complete:
                count(-received)

    def _too_large(self, size: str) -> Problem:
        detail = f"the request has {size} bytes; at most {self._max_bytes:,} are taken: scale the photo down"
        return Problem(413, kind="upload-too-large", detail=detail)
