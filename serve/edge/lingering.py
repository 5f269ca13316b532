"""Answers that come before the request was read to its end."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LingeringClose"]


class LingeringClose:
    """After an early answer, reads and drops for a while what the client still sends.

    A connection that is closed on unread data is reset, and a reset takes an answer with it that the client has not
    read yet: it would see a network error in place of "the photo is too large". Uvicorn closes at once where the client
    asked for `Connection: close`, as nginx and urllib do by default.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float = 2.0) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        sends_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if not sends_body:
            await self._app(scope, receive, send)
            return
        read_to_end = False

        async def receive_watched() -> Message:
            nonlocal read_to_end
            message = await receive()
            read_to_end = not message.get("more_body", False)
            return message

        async def send_then_drain(message: Message) -> None:
            early = not read_to_end
            if message["type"] == "http.response.start" and early:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            if message["type"] != "http.response.body" or message.get("more_body", False) or not early:
                await send(message)
                return
            await send({**message, "more_body": True})
            await self._drain(receive_watched)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, receive_watched, send_then_drain)

    async def _drain(self, receive: Receive) -> None:
        dropped = 0
        try:
            async with asyncio.timeout(self._seconds):
                more = True
                while more and dropped < self._max_bytes:
                    message = await receive()
                    dropped += len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            pass
