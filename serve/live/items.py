"""Changing items: what is acknowledged is on the disk, and every search that begins later sees it."""

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio.to_thread
import numpy as np

from serve.bundle.engine import Engine
from serve.live.engine import LiveEngine
from serve.live.journal import Journal, KeptItem, KeptPicture
from serve.live.thumbnail import thumbnail
from serve.observe.metrics import Metrics
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import ImageError, decode

__all__ = ["LiveItems", "UnknownItemError"]

_AT_ONCE = 2
"""Calls that decode and embed pictures: more would take the encoder from the searches."""


class UnknownItemError(LookalikeError):
    """There is no item of this id."""


class LiveItems:
    """Writes items of the engine that answers, one change after the other."""

    def __init__(self, *, journal: Journal, metrics: Metrics) -> None:
        self.journal = journal
        self.engine: LiveEngine
        self._metrics = metrics
        self._lock = asyncio.Lock()
        self._embedding = asyncio.Semaphore(_AT_ONCE)

    def serve(self, engine: Engine) -> None:
        """Change items of this engine from now on."""
        assert isinstance(engine, LiveEngine)
        self.engine = engine
        self._metrics.live(engine.live.metrics())

    @asynccontextmanager
    async def handing_over(self, engine: Engine) -> AsyncIterator[None]:
        """Bring another engine up to the journal; within the block nobody writes, and after it writes go there."""
        assert isinstance(engine, LiveEngine)
        async with self._lock:
            await anyio.to_thread.run_sync(engine.catch_up)
            yield
            self.serve(engine)

    async def put(self, item_id: str, files: Sequence[bytes], attributes: Mapping[str, Any]) -> list[str]:
        """Add an item or replace it, images and attributes: those that are left out are null.

        Returns:
            The ids of its images, which follow from item and content.

        Raises:
            ImageError: a file that is no image; nothing was changed.
            LookalikeError: it cannot be written, or embedded.
        """
        started = time.perf_counter()
        pictures: list[KeptPicture] = []
        vectors = np.empty(0)
        embedded_by = None
        while True:
            if embedded_by is not self.engine:
                embedded_by = self.engine
                async with self._embedding:
                    pictures, vectors = await anyio.to_thread.run_sync(_embedded, self.engine, item_id, files)
            async with self._lock:
                if embedded_by is not self.engine:
                    continue  # A new bundle took over meanwhile, perhaps with another encoder.
                await self._written("put", partial(self._put, item_id, attributes, pictures, vectors), started)
                return [kept.image_id for kept in pictures]

    async def delete(self, item_id: str) -> None:
        """Make an item unfindable; an unknown one is no error, and stays unknown to later bundles, too."""
        started = time.perf_counter()

        def write() -> None:
            self._make(KeptItem(item_id, self.journal.delete(item_id), "delete", {}), [], np.empty(0))

        async with self._lock:
            await self._written("delete", write, started)

    async def patch(self, item_id: str, attributes: Mapping[str, Any]) -> None:
        """Change attributes of an item.

        Raises:
            UnknownItemError: there is none of this id.
            LookalikeError: it cannot be written.
        """
        started = time.perf_counter()

        def write() -> None:
            if not len(self.engine.live.snapshot().rows_of_item(item_id)):
                raise UnknownItemError(f"there is no item {item_id!r}")
            change = self.journal.patch(item_id, attributes)
            self._make(KeptItem(item_id, change, "patch", attributes), [], np.empty(0))

        async with self._lock:
            await self._written("patch", write, started)

    def close(self) -> None:
        """Close the journal; the engine is closed with its bundle."""
        self.journal.close()

    def _put(
        self, item_id: str, attributes: Mapping[str, Any], pictures: Sequence[KeptPicture], vectors: np.ndarray
    ) -> None:
        change = self.journal.put(item_id, attributes, pictures)
        image_ids = [kept.image_id for kept in pictures]
        self._make(KeptItem(item_id, change, "put", attributes), image_ids, vectors)
        self.journal.keep_embeddings(self.engine.made_by, image_ids, vectors)

    def _make(self, item: KeptItem, image_ids: list[str], vectors: np.ndarray) -> None:
        engine = self.engine
        earlier = any(pending.change < item.change for pending in self.journal.pending(engine.bundle.bundle_id))
        if earlier:  # One before it failed between journal and index.
            engine.catch_up()
            return
        engine.make(item, image_ids, vectors)
        self.journal.applied(engine.bundle.bundle_id, item.change)

    async def _written(self, kind: str, write: Callable[[], None], started: float) -> None:
        # A caller that leaves does not stop a change half-way, nor lets the next one in beside it.
        task = asyncio.ensure_future(asyncio.to_thread(write))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            raise
        except sqlite3.Error as error:
            raise LookalikeError(f"the change cannot be kept ({error}); make room where --state is") from None
        self._metrics.freshness.labels(kind).observe(time.perf_counter() - started)
        self._metrics.live(self.engine.live.metrics())


def _embedded(engine: LiveEngine, item_id: str, files: Sequence[bytes]) -> tuple[list[KeptPicture], np.ndarray]:
    pictures: dict[str, KeptPicture] = {}
    vectors = []
    for place, data in enumerate(files, start=1):
        image_id = f"{item_id}/{hashlib.sha256(data).hexdigest()[:16]}"
        if image_id in pictures:
            continue
        try:
            vectors.append(engine.embed_picture(data))
            pictures[image_id] = KeptPicture(image_id, data, thumbnail(decode(data)))
        except ImageError as error:
            raise type(error)(f"image {place} of {len(files)}: {error}") from None
    return list(pictures.values()), np.array(vectors, np.float32)
