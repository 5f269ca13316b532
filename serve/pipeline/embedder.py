"""From a photo's bytes to its embedding: cache, decoding, batch."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import astuple

import numpy as np

from serve.breaker import Breaker, BreakerState
from serve.cache.embedding_cache import EmbeddingCache
from serve.cache.key import EmbeddingKeys
from serve.deadline import Deadline
from serve.errors import Problem
from serve.metrics import Metrics
from serve.pipeline.batcher import Batcher, Embedded, Search
from serve.pipeline.decoding import Cost, Decoding
from serve.pipeline.guard import SearchFailedError, guarded
from serve.pipeline.threads import ThreadPools
from serve.stages import Stages
from src.contracts.preprocessing import decode
from src.search.box import WHOLE, Box
from src.search.regions import Detector, Region
from src.search.searcher import Searcher

__all__ = ["Embedder"]

_HASHED_AT_ONCE = 256 * 1024
"""Bytes that the event loop hashes itself, in about 0.2 ms; more are hashed on a thread."""


class Embedder:
    """Embeds photos for one bundle. Equal photos in flight at the same time are decoded and embedded once.

    The first request of equal ones does the work and the others wait for it. If the first is cancelled, the next one
    takes over.
    """

    def __init__(
        self,
        *,
        searcher: Searcher,
        keys: EmbeddingKeys,
        pools: ThreadPools,
        decoding: Decoding,
        batcher: Batcher,
        metrics: Metrics,
        detector: Detector,
        breaker: Breaker,
        cache: EmbeddingCache,
        max_pixels: int,
        decode_ahead: bool,
    ) -> None:
        """Put the parts together.

        Args:
            searcher: the bundle.
            keys: make the keys of its embeddings in the cache.
            pools: threads that hash large photos.
            decoding: decodes within a budget.
            batcher: runs the searcher's encoder.
            metrics: counts shared and dropped images.
            detector: finds objects in a photo.
            breaker: the encoder's.
            cache: embeddings made before.
            max_pixels: pixels of the largest photo.
            decode_ahead: decode all photos on threads of their own, while the encoder runs the batch before. Otherwise
                the encoder's thread decodes what is quick, and searches with the vector.
        """
        self._searcher = searcher
        self._keys = keys
        self._pools = pools
        self._decoding = decoding
        self._batcher = batcher
        self._metrics = metrics
        self._detector = detector
        self._breaker = breaker
        self._cache = cache
        self._max_pixels = max_pixels
        self._decode_ahead = decode_ahead
        self._flights: dict[bytes, asyncio.Future[np.ndarray]] = {}

    @property
    def encoder_answers(self) -> bool:
        """Whether the encoder is called for embeddings that the cache does not have."""
        return self._breaker.state is BreakerState.CLOSED

    async def embed(
        self, data: bytes, box: Box | None, deadline: Deadline, stages: Stages, *, search: Search | None = None
    ) -> Embedded:
        """Embed a photo, or the part of it in a box.

        Args:
            data: an image file.
            box: the part; None takes all of the photo.
            deadline: of the request.
            stages: the request's times.
            search: runs with the vector on the encoder's thread where that also decodes; otherwise the result has no
                hits, and the caller searches.

        Returns:
            The embedding, a finite vector.

        Raises:
            ImageError: the photo cannot be read.
            Problem: 422, the encoder has no embedding for it; 503, too many large photos; 504, too late.
            SearchFailedError: the encoder failed, was late, or is not called.
        """
        key = await self._key(data, box, stages)
        size = self._searcher.size

        def pixels() -> np.ndarray:
            return self._searcher.pixels(data, box, max_pixels=self._max_pixels)

        async def run() -> Embedded:
            cost = self._decoding.cost(data, self._searcher.bundle.preprocessing if box is None else None)
            # Without the encoder, the photo is decoded all the same: a damaged one is the caller's fault.
            if cost is Cost.QUICK and not self._decode_ahead and self.encoder_answers:
                return await self._run_batch(pixels, deadline, stages, search, decoded=False)
            if deadline.expired:
                self._metrics.dropped.labels("expired").inc()
                raise deadline.problem()
            with self._batcher.announced():
                made = await self._decoding.run(cost, pixels, stages)
            assert made.shape == (size, size, 3)
            return await self._run_batch(lambda: made, deadline, stages, None, decoded=True)

        return await self._shared(key, run)

    async def embed_dominant(self, data: bytes, deadline: Deadline, stages: Stages) -> tuple[Embedded, Box]:
        """Embed the object that the detector finds in a photo, or all of the photo where it finds none.

        The photo is decoded each time, since the box is part of the key in the cache. Raises as `embed`.

        Returns:
            The embedding, and the box.
        """

        def find() -> tuple[Box, np.ndarray]:
            pixels = decode(data, max_pixels=self._max_pixels)
            regions = self._detector.regions(pixels, 1)
            box = regions[0].box if regions else WHOLE
            return box, self._searcher.resized(pixels, box)

        box, made = await self._decoding.run(self._decoding.cost(data, None), find, stages)
        key = await self._key(data, None if box == WHOLE else box, stages)
        return await self._shared(key, lambda: self._run_batch(lambda: made, deadline, stages, None, decoded=True)), box

    async def regions(self, data: bytes, most: int, stages: Stages) -> list[Region]:
        """The objects that the detector finds in a photo, best first; raises `ImageError`, and `Problem` 503."""
        cost = self._decoding.cost(data, None)
        return await self._decoding.run(
            cost, lambda: self._detector.regions(decode(data, max_pixels=self._max_pixels), most), stages
        )

    async def _run_batch(
        self, pixels: Callable[[], np.ndarray], deadline: Deadline, stages: Stages, search: Search | None, *, decoded: bool
    ) -> Embedded:
        embedded = await guarded(
            self._breaker, deadline, lambda: self._batcher.embed(pixels, deadline, search=search)
        )
        if not decoded:
            stages.record("decode", waited=None, worked=embedded.decoded)
        stages.record("embed", waited=embedded.waited, worked=embedded.embedded)
        if not np.isfinite(embedded.vector).all():
            raise Problem(422, kind="no-embedding", detail="the encoder has no usable embedding for this image")
        return embedded

    async def _shared(self, key: bytes, run: Callable[[], Awaitable[Embedded]]) -> Embedded:
        """Return the embedding in the cache, or of an equal photo in flight, or run."""
        while (flight := self._flights.get(key)) is not None:
            self._metrics.shared_embeddings.inc()
            await asyncio.wait([flight])  # Unlike `await flight`, it does not cancel the flight for the others.
            if not flight.cancelled():
                return Embedded(flight.result())
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            vector = await self._cache.get(key)
            embedded = await run() if vector is None else Embedded(vector)
            if vector is None:
                self._cache.put(key, embedded.vector)
        except BaseException as error:
            if isinstance(error, Exception) and not _only_this_request(error):
                flight.set_exception(error)
                flight.exception()  # Marks it as retrieved: usually nobody else waits for it.
            else:
                flight.cancel()
            raise
        else:
            flight.set_result(embedded.vector)
            return embedded
        finally:
            del self._flights[key]

    async def _key(self, data: bytes, box: Box | None, stages: Stages) -> bytes:
        place = None if box is None else astuple(box)
        if len(data) <= _HASHED_AT_ONCE:
            return self._keys.key(data, place)
        return await self._pools.run("hash", lambda: self._keys.key(data, place), stages)


def _only_this_request(error: Exception) -> bool:
    """Whether an equal request may still succeed: this one's time was over, or it was refused for load."""
    return (isinstance(error, SearchFailedError) and error.late) or (
        isinstance(error, Problem) and error.status in (503, 504)
    )
