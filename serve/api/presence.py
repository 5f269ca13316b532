"""Whether the client still waits for its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

__all__ = ["client_waits"]


@asynccontextmanager
async def client_waits(request: Request) -> AsyncIterator[None]:
    """Cancel the body when the client leaves: every stage drops what it holds for a cancelled request.

    Args:
        request: read to its end.

    Raises:
        ClientDisconnect: it left.
    """
    task = asyncio.current_task()
    assert task is not None
    left = False

    def told(watcher: asyncio.Task[Message]) -> None:
        nonlocal left
        # Else nothing is known: the time for the body is over, or it is we who end the watch.
        if not watcher.cancelled() and not watcher.exception() and watcher.result()["type"] == "http.disconnect":
            left = True
            task.cancel()

    async def next_message() -> Message:
        return await request.receive()

    watcher = asyncio.create_task(next_message())
    watcher.add_done_callback(told)
    try:
        yield
    except asyncio.CancelledError:
        if left and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.remove_done_callback(told)
        watcher.cancel()
