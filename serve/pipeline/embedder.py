"""From a photo's bytes to its embedding: cache, decoding, batch."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass, field
from functools import partial

import numpy as np

from serve.breaker import Breaker, BreakerState
from serve.cache.embedding_cache import EmbeddingCache
from serve.cache.key import EmbeddingKeys
from serve.deadline import Deadline
from serve.errors import Problem
from serve.metrics import Metrics
from serve.pipeline.batcher import Batcher, Embedded, Pixels, Search
from serve.pipeline.decoding import Cost, Decoding
from serve.pipeline.guard import SearchFailedError, guarded
from serve.pipeline.threads import ThreadPools
from serve.stages import Stages
from src.contracts.image_header import open_image, read_header
from src.contracts.preprocessing import decode
from src.search.box import WHOLE, Box
from src.search.regions import Detector, Region
from src.search.searcher import Searcher

__all__ = ["Embedder"]

_HASHED_AT_ONCE = 256 * 1024
"""Bytes that the event loop hashes itself, in about 0.2 ms; more are hashed on a thread."""


@dataclass(kw_only=True, eq=False)
class Embedder:
    """Embeds photos for one bundle. Equal photos in flight at the same time are decoded and embedded once.

    The first request of equal ones does the work and the others wait for it. If the first is cancelled, the next one
    takes over.

    Attributes:
        keys: make the keys of the bundle's embeddings in the cache.
        breaker: the encoder's.
        decode_ahead: decode all photos on threads of their own, while the encoder runs the batch before. Otherwise the
            encoder's thread decodes what is quick, and searches with the vector.
    """

    searcher: Searcher
    keys: EmbeddingKeys
    pools: ThreadPools
    decoding: Decoding
    batcher: Batcher
    metrics: Metrics
    detector: Detector
    breaker: Breaker
    cache: EmbeddingCache
    decode_ahead: bool
    _flights: dict[bytes, asyncio.Future[np.ndarray]] = field(default_factory=dict, init=False)

    @property
    def encoder_answers(self) -> bool:
        """Whether the encoder is called for embeddings that the cache does not have."""
        return self.breaker.state is BreakerState.CLOSED

    async def embed(
        self, data: bytes, box: Box | None, deadline: Deadline, stages: Stages, *, search: Search | None = None
    ) -> Embedded:
        """Embed a photo, or the part of it in a box; the vector is finite.

        `search` runs with the vector on the encoder's thread where that also decodes. Otherwise the result has no hits,
        and the caller searches.

        Raises:
            ImageError: the photo cannot be read.
            Problem: 422, the encoder has no embedding for it; 503, too many large photos; 504, too late.
            SearchFailedError: the encoder failed, was late, or is not called.
        """

        async def run() -> Embedded:
            photo = open_image(data)
            pixels = partial(self.searcher.pixels, photo, box, max_pixels=self.decoding.max_pixels)
            cost = self.decoding.cost(photo.header, self.searcher.bundle.preprocessing, box)
            # Without the encoder, the photo is decoded all the same: a damaged one is the caller's fault.
            if cost is Cost.QUICK and not self.decode_ahead and self.encoder_answers:
                return await self._batched(pixels, deadline, stages, search)
            if deadline.expired:
                self.metrics.dropped.labels("expired").inc()
                raise deadline.problem()
            with self.batcher.announced():
                made = await self.decoding.run(cost, pixels, stages)
            return await self._batched(lambda: made, deadline, stages)

        return await self._shared(await self._key(data, box, stages), run)

    async def embed_dominant(self, data: bytes, deadline: Deadline, stages: Stages) -> tuple[Embedded, Box]:
        """Embed the object that the detector finds in a photo, or all of the photo where it finds none.

        The photo is decoded each time, since the box is part of the key in the cache. Raises as `embed`.
        """

        def find() -> tuple[Box, np.ndarray]:
            pixels = decode(data, max_pixels=self.decoding.max_pixels)
            regions = self.detector.regions(pixels, 1)
            box = regions[0].box if regions else WHOLE
            return box, self.searcher.resized(pixels, box)

        box, made = await self.decoding.run(self.decoding.cost(read_header(data)), find, stages)
        key = await self._key(data, None if box == WHOLE else box, stages)
        return await self._shared(key, lambda: self._batched(lambda: made, deadline, stages)), box

    async def regions(self, data: bytes, most: int, stages: Stages) -> list[Region]:
        """The objects that the detector finds in a photo, best first; raises `ImageError`, and `Problem` 503."""

        def find() -> list[Region]:
            return self.detector.regions(decode(data, max_pixels=self.decoding.max_pixels), most)

        return await self.decoding.run(self.decoding.cost(read_header(data)), find, stages)

    async def _batched(
        self, pixels: Pixels, deadline: Deadline, stages: Stages, search: Search | None = None
    ) -> Embedded:
        embedded = await guarded(self.breaker, deadline, lambda: self.batcher.embed(pixels, deadline, search=search))
        if "decode" not in stages.seconds:
            stages.record("decode", waited=None, worked=embedded.decoded)
        stages.record("embed", waited=embedded.waited, worked=embedded.embedded)
        if not np.isfinite(embedded.vector).all():
            raise Problem(422, kind="no-embedding", detail="the encoder has no usable embedding for this image")
        return embedded

    async def _shared(self, key: bytes, run: Callable[[], Awaitable[Embedded]]) -> Embedded:
        """The embedding in the cache, or of an equal photo in flight, or that `run` makes."""
        while (flight := self._flights.get(key)) is not None:
            self.metrics.shared_embeddings.inc()
            await asyncio.wait([flight])  # Unlike `await flight`, it does not cancel the flight for the others.
            if not flight.cancelled():
                return Embedded(flight.result())
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            vector = await self.cache.get(key)
            embedded = await run() if vector is None else Embedded(vector)
            if vector is None:
                self.cache.put(key, embedded.vector)
            flight.set_result(embedded.vector)
            return embedded
        except BaseException as error:
            if isinstance(error, Exception) and not _only_this_request(error):
                flight.set_exception(error)
                flight.exception()  # Marks it as retrieved: usually nobody else waits for it.
            else:
                flight.cancel()
            raise
        finally:
            del self._flights[key]

    async def _key(self, data: bytes, box: Box | None, stages: Stages) -> bytes:
        place = None if box is None else astuple(box)
        if len(data) <= _HASHED_AT_ONCE:
            return self.keys.key(data, place)
        return await self.pools.run("hash", lambda: self.keys.key(data, place), stages)


def _only_this_request(error: Exception) -> bool:
    """Whether an equal request may still succeed: this one's time was over, or it was refused for load."""
    if isinstance(error, SearchFailedError):
        return error.late
    return isinstance(error, Problem) and error.status in (503, 504)
