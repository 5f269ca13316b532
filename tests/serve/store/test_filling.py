import asyncio
from types import SimpleNamespace

import pytest

from serve.store import filling

pytestmark = pytest.mark.anyio


async def test_a_bundle_that_cannot_be_read_stops_no_later_one(monkeypatch):
    monkeypatch.setattr(filling, "_LOOKED_EVERY", 0.0)
    monkeypatch.setattr(filling, "_TRIED_AGAIN_AFTER", 0.0)
    loop, loaded = asyncio.get_running_loop(), asyncio.Event()
    served = [SimpleNamespace(bundle_id="gone")]

    def load(bundle: SimpleNamespace) -> None:
        if bundle.bundle_id == "gone":
            served[0] = SimpleNamespace(bundle_id="next")
            raise FileNotFoundError("items.parquet")
        loop.call_soon_threadsafe(loaded.set)

    store = SimpleNamespace(is_ours=True, load=load)
    async with asyncio.timeout(30), filling.kept_filled(store, lambda: served[0]):
        await loaded.wait()
