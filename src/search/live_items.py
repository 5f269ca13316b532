"""Changes of items: what is acknowledged is durable, and every search that begins later sees it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import ImageError, decode
from src.index.journal import Journal, Picture, picture_id
from src.search.gallery import UnknownItemError
from src.search.layer import Layer
from src.search.pictures import thumbnail
from src.search.searcher import Searcher

__all__ = ["LiveItems", "UnknownItemError", "Written", "embedded_pictures", "finished"]

T = TypeVar("T")
_THUMBNAIL = 160
"""Longest side of a thumbnail, in pixels."""
_EMBEDDING = 2
"""Calls that decode and embed pictures at once: more would take the encoder from the searches."""


class Written(NamedTuple):
    """A change that is durable.

    Attributes:
        image_ids: of the images that were added.
        version: its position: a search that names it shows it.
        visible: whether Milvus has it; else it follows by itself.
    """

    image_ids: list[str]
    version: int
    visible: bool


class LiveItems:
    """Changes items, one change after the other: first in the `journal`, then in the `layer` that answers."""

    def __init__(self, *, journal: Journal, on_change: Callable[[str, float], object] = lambda *_: None) -> None:
        """Change nothing before `serve`; `on_change` gets the kind of each change and its seconds until visible."""
        self.journal = journal
        self.layer: Layer
        self._on_change = on_change
        self._lock, self._embedding = asyncio.Lock(), asyncio.Semaphore(_EMBEDDING)

    def open_layer(
        self, searcher: Searcher, *, made_by: str, changes_after: int | None = None, rest: float = 0.0
    ) -> Layer:
        """Lay the journal's changes over a bundle. Blocks; pictures that another encoder embedded are embedded again.

        `made_by` is the key of the bundle's encoder and arithmetic, see `EmbeddingKeys.prefix`. The bundle has the
        changes up to number `changes_after`; None: up to the one last given for it, or none. After each second of CPU
        time, sleep `rest` seconds, where another bundle answers meanwhile.

        Raises:
            LookalikeError: there is no such change yet, more images than fit in memory, or a journal that is damaged.
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
            await finished(layer.catch_up)
            yield
            self.serve(layer)

    async def put(self, item_id: str, files: Sequence[bytes], attributes: Mapping[str, Any]) -> list[str]:
        """Add an item, or replace all of it: what is left out is null. Returns the ids of its images.

        Raises:
            LookalikeError: a file is no image, or the change cannot be kept; nothing was changed.
        """
        started, layer = time.perf_counter(), self.layer
        async with self._embedding:
            pictures = await finished(partial(embedded_pictures, layer.embed_picture, item_id, files))

        def write() -> None:
            self.layer.changes.check_room(item_id, len(pictures))
            self.journal.put(item_id, attributes, pictures, made_by=layer.made_by)

        await self._written("put", write, started)
        return [picture.image_id for picture in pictures]

    async def patch(self, item_id: str, attributes: Mapping[str, Any]) -> None:
        """Change price or stock of an item, or both; raises `UnknownItemError`, or as `put`."""

        def write() -> None:
            if not len(self.layer.gallery().rows_of_item(item_id)):
                raise UnknownItemError(f"there is no item {item_id!r}; add it first")
            self.journal.patch(item_id, attributes)

        await self._written("patch", write, time.perf_counter())

    async def delete(self, item_id: str) -> None:
        """Make an item unfindable, in later bundles as well; an unknown one is no error. Raises as `put`."""
        await self._written("delete", lambda: self.journal.delete(item_id), time.perf_counter())

    async def _written(self, kind: str, write: Callable[[], object], started: float) -> None:
        def write_and_show() -> None:
            write()
            self.layer.catch_up()

        async with self._lock:
            await finished(write_and_show)
        self._on_change(kind, time.perf_counter() - started)


async def finished(work: Callable[[], T]) -> T:
    """Work on a thread to its end: a caller that leaves neither stops it half-way nor lets others in beside it."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


def embedded_pictures(embed: Callable[[bytes], np.ndarray], item_id: str, files: Sequence[bytes]) -> list[Picture]:
    """The pictures of an item, each once, from image files.

    Raises:
        ImageError: a file is no image; the message has its place.
        LookalikeError: there is none.
    """
    pictures: dict[str, Picture] = {}
    for place, data in enumerate(files, start=1):
        image_id = picture_id(item_id, data)
        try:
            pictures[image_id] = Picture(image_id, data, thumbnail(decode(data), _THUMBNAIL), embed(data))
        except ImageError as error:
            raise type(error)(f"image {place} of {len(files)}: {error}") from None
    if not pictures:
        raise LookalikeError(f"item {item_id!r} has no image; give at least one")
    return list(pictures.values())
