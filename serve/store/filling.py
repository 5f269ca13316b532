"""The service's own store, filled from the bundle that it serves."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread

from serve.store.store import Store
from src.contracts.bundle import Bundle

__all__ = ["kept_filled"]

_LOOKED_EVERY = 1.0
_TRIED_AGAIN_AFTER = 10.0
"""Seconds."""

_log = logging.getLogger("serve")


@asynccontextmanager
async def kept_filled(store: Store, served: Callable[[], Bundle]) -> AsyncIterator[None]:
    """Load the bundle that is served, and each that takes its place, behind the searches' back.

    Until a bundle is loaded, items that the store does not have yet are shown as the bundle has them.

    Args:
        store: one that nobody else fills is filled, others are left alone.
        served: the bundle that is served now.
    """
    task = asyncio.create_task(_fill(store, served)) if store.is_ours else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


async def _fill(store: Store, served: Callable[[], Bundle]) -> None:
    filled = ""
    while True:
        bundle = served()
        pause = _LOOKED_EVERY
        if bundle.bundle_id != filled:
            try:
                # Nobody waits for the thread at the end: it stops with the store.
                await anyio.to_thread.run_sync(store.load, bundle, abandon_on_cancel=True)
                filled = bundle.bundle_id
            except Exception as error:  # A folder that is gone, a damaged table: the next bundle may be well.
                _log.error("the store cannot be filled, price and stock are the bundle's: %s", error)
                pause = _TRIED_AGAIN_AFTER
        await asyncio.sleep(pause)
