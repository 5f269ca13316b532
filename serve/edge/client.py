"""Cancels a request's work when its client leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

__all__ = ["client_waits"]


@asynccontextmanager
async def client_waits(request: Request) -> AsyncIterator[None]:
    """Cancel the block when the client leaves, and raise `ClientDisconnect`; each stage then drops its work.

    What of the request's body has not been read is dropped.
    """
    task = asyncio.current_task()
    assert task is not None
    left = False

    async def watch() -> None:
        nonlocal left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if left and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
