"""How large a request's body may be, and how long it may take to arrive."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge.body_length import body_length
from serve.errors import Problem, problem_response

__all__ = ["BodyLimit"]


class BodyLimit:
    """Refuses a body by its announced length, and one without a length as soon as it has grown too large."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = body_length(scope)
        if announced is not None and announced > self._max_bytes:
            await problem_response(self._too_large(f"{announced:,}"), scope)(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._seconds
        received = 0
        read_to_end = False

        async def receive_limited() -> Message:
            # Both problems are raised inside the route that reads the body, whose error handler answers them.
            nonlocal received, read_to_end
            if read_to_end:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    408, kind="slow-upload", detail=f"the body did not arrive within {self._seconds:g} seconds"
                ) from None
            read_to_end = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large(f"over {self._max_bytes:,}")
            return message

        await self._app(scope, receive_limited, send)

    def _too_large(self, size: str) -> Problem:
        return Problem(
            413,
            kind="upload-too-large",
            detail=f"the request has {size} bytes; at most {self._max_bytes:,} are taken: scale the photo down",
        )
