"""Changes of items: what is acknowledged is durable, and every search that begins later sees it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio.to_thread

from serve.live.journal import Journal, Picture, picture_id
from serve.live.layer import Layer
from serve.live.thumbnail import thumbnail
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import ImageError, decode
from src.search.searcher import Searcher

__all__ = ["LiveItems", "UnknownItemError"]

_EMBEDDING_AT_ONCE = 2
"""Calls that decode and embed pictures: more would take the encoder from the searches."""


class UnknownItemError(LookalikeError):
    """There is no item of this id."""


class LiveItems:
    """Changes items, one change after the other: first in the journal, then in the layer that answers.

    Attributes:
        journal: the changes of all bundles.
        layer: the bundle that answers, with the changes over it.
    """

    def __init__(
        self, *, journal: Journal, on_change: Callable[[str, float], None] = lambda kind, seconds: None
    ) -> None:
        """Change nothing before `serve`.

        Args:
            journal: where changes are kept.
            on_change: called after each change with its kind and the seconds from the call until searches see it.
        """
        self.journal = journal
        self.layer: Layer
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._embedding = asyncio.Semaphore(_EMBEDDING_AT_ONCE)

    def open_layer(
        self, searcher: Searcher, *, made_by: str, changes_after: int | None = None, rest: float = 0.0
    ) -> Layer:
        """Lay the journal's changes over a bundle. Blocks, and pictures are embedded where the encoder is another one.

        Args:
            searcher: the bundle.
            made_by: key of its encoder and arithmetic; embeddings made under another key are made again.
            changes_after: number of the last change that the bundle has already; it is kept for this bundle. None: what
                was kept, or 0.
            rest: seconds to sleep after each second of CPU time, where another bundle answers meanwhile.

        Raises:
            ConfigError: `changes_after` is beyond the last change.
            JournalError: the journal cannot be read.
            LookalikeError: more changed images than a layer takes.
        """
        after = self.journal.changes_after(searcher.bundle.bundle_id, changes_after)
        layer = Layer(searcher, self.journal, made_by=made_by, changes_after=after)
        layer.catch_up(rest=rest)
        return layer

    def serve(self, layer: Layer) -> None:
        """Make changes visible in this layer from now on."""
        self.layer = layer

    @asynccontextmanager
    async def handing_over(self, layer: Layer) -> AsyncIterator[None]:
        """Bring a layer up to the journal; within the block nobody writes, and after it changes go there."""
        async with self._lock:
            await self._uninterrupted(layer.catch_up)
            yield
            self.serve(layer)

    async def put(self, item_id: str, files: Sequence[bytes], attributes: Mapping[str, Any]) -> list[str]:
        """Add an item or replace it, images and attributes: those that are left out are null.

        Returns:
            The ids of its images, which follow from item and content.

        Raises:
            ImageError: a file that is no image; nothing was changed.
            LookalikeError: it cannot be written, or there is no room for more changes.
        """
        started = time.perf_counter()
        pictures: list[Picture] = []
        embedded_by = None
        while True:
            if embedded_by is not self.layer:
                embedded_by = self.layer
                async with self._embedding:
                    pictures = await anyio.to_thread.run_sync(_embedded, embedded_by, item_id, files)
            async with self._lock:
                if embedded_by is not self.layer:
                    continue  # A new bundle took over meanwhile, perhaps with another encoder.

                def write(layer: Layer = embedded_by, pictures: list[Picture] = pictures) -> None:
                    layer.check_room(item_id, len(pictures))
                    self.journal.put(item_id, attributes, pictures, made_by=layer.made_by)
                    layer.catch_up()

                await self._uninterrupted(write)
            self._on_change("put", time.perf_counter() - started)
            return [picture.image_id for picture in pictures]

    async def patch(self, item_id: str, attributes: Mapping[str, Any]) -> None:
        """Change price and stock of an item; what is left out stays.

        Raises:
            UnknownItemError: there is no item of this id.
            LookalikeError: it cannot be written.
        """

        def write() -> None:
            if not self.layer.gallery().has_item(item_id):
                raise UnknownItemError(f"there is no item {item_id!r}; add it with PUT")
            self.journal.patch(item_id, attributes)
            self.layer.catch_up()

        await self._change("patch", write)

    async def delete(self, item_id: str) -> None:
        """Make an item unfindable, in later bundles as well; an unknown one is no error.

        Raises:
            LookalikeError: it cannot be written.
        """

        def write() -> None:
            self.journal.delete(item_id)
            self.layer.catch_up()

        await self._change("delete", write)

    async def _change(self, kind: str, write: Callable[[], None]) -> None:
        started = time.perf_counter()
        async with self._lock:
            await self._uninterrupted(write)
        self._on_change(kind, time.perf_counter() - started)

    async def _uninterrupted(self, write: Callable[[], None]) -> None:
        """Run on a thread. A caller that leaves neither stops it half-way nor lets the next change in beside it."""
        task = asyncio.ensure_future(asyncio.to_thread(write))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            raise


def _embedded(layer: Layer, item_id: str, files: Sequence[bytes]) -> list[Picture]:
    pictures: dict[str, Picture] = {}
    for place, data in enumerate(files, start=1):
        image_id = picture_id(item_id, data)
        if image_id in pictures:
            continue
        try:
            vector = layer.embed_picture(data)
            pictures[image_id] = Picture(image_id, data, thumbnail(decode(data)), vector)
        except ImageError as error:
            raise type(error)(f"image {place} of {len(files)}: {error}") from None
    if not pictures:
        raise LookalikeError(f"item {item_id!r} has no image; give at least one")
    return list(pictures.values())
