"""Answers that come before the request was read to its end."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge.body_length import body_length

__all__ = ["LingeringClose"]

_SMALL = 64 * 1024
"""Bytes of a body that is dropped before the answer: most of it has arrived with the head."""
_SMALL_SECONDS = 0.05


class LingeringClose:
    """Before or after an early answer, reads and drops for a while what the client sends.

    What is small is dropped first, and the connection stays: under overload, new connections would cost more than the
    refusals themselves. Of what is large the answer comes first, and the connection ends. Closed on unread data, it
    would be reset, and a reset takes an answer with it that the client has not read yet: it would see a network error
    in place of "the photo is too large". Uvicorn closes at once where the client asked for `Connection: close`, as
    nginx and urllib do by default.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float = 2.0) -> None:
        """Wrap an application.

        Args:
            app: what may answer early.
            max_bytes: that are dropped after an answer.
            seconds: for which they are.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        announced = body_length(scope) if scope["type"] == "http" else 0
        if announced == 0:
            await self._app(scope, receive, send)
            return
        read_to_end = False

        async def receive_watched() -> Message:
            nonlocal read_to_end
            message = await receive()
            read_to_end = not message.get("more_body", False)
            return message

        async def send_then_drain(message: Message) -> None:
            if message["type"] == "http.response.start" and not read_to_end:
                if announced is not None and announced <= _SMALL:
                    await _drain(receive_watched, most=_SMALL, seconds=_SMALL_SECONDS)
                if not read_to_end:
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            if message["type"] != "http.response.body" or message.get("more_body", False) or read_to_end:
                await send(message)
                return
            await send({**message, "more_body": True})
            await _drain(receive_watched, most=self._max_bytes, seconds=self._seconds)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, receive_watched, send_then_drain)


async def _drain(receive: Receive, *, most: int, seconds: float) -> None:
    dropped = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more and dropped < most:
                message = await receive()
                dropped += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        pass
