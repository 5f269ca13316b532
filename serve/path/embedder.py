"""From a photo's bytes to its embedding: cache, decoding, batch."""

import asyncio
from dataclasses import astuple
from functools import partial
from typing import Protocol

import numpy as np

from serve.breaker import Breaker, BreakerState
from serve.bundle.engine import Engine
from serve.cache.key import EmbeddingKeys
from serve.errors import Problem
from serve.observe.metrics import Metrics
from serve.path.batcher import Batcher, Pixels, Then
from serve.path.box import WHOLE, Box
from serve.path.deadline import Deadline
from serve.path.detector import Detector, Region
from serve.path.guard import SearchFailedError, guarded
from serve.path.stages import Stages
from serve.path.workers import Workers
from src.contracts.preprocessing import decode

__all__ = ["Embedder", "EmbeddingCache"]

_HASHED_AT_ONCE = 256 * 1024
"""Bytes: hashing them takes about 0.2 ms; more would hold up the event loop, and are hashed on a thread."""

_QUICK = 64 * 1024
"""Bytes of a JPEG that an encoder's thread may decode: eleven megapixels of one colour fit in, and take 0.17 s. What is
larger, or packed otherwise, can take seconds: the batch would wait for it, and it would count as the encoder's failure.
"""


class EmbeddingCache(Protocol):
    """Embeddings of one encoder and preprocessing. What fails inside must stay inside: a search goes on without it."""

    async def get(self, key: bytes) -> np.ndarray | None:
        """The vector that was put under a key, float32 of shape (dim,), or None."""
        ...

    async def put(self, key: bytes, vector: np.ndarray) -> None:
        """Keep a vector. A search waits for this: what takes longer than memory does is to go on by itself."""
        ...


class Embedder:
    """The embeddings of one engine. Equal images in flight at once are decoded and embedded once.

    The first of them does the work, the others wait for it. Should it be given up (its client left, its deadline
    passed), the next one takes over.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        keys: EmbeddingKeys,
        workers: Workers,
        batcher: Batcher,
        metrics: Metrics,
        detector: Detector,
        breaker: Breaker | None = None,
        cache: EmbeddingCache | None = None,
        decode_ahead: bool = True,
    ) -> None:
        """Put the parts together.

        Args:
            engine: decodes; its encoder is the batcher's.
            keys: of its embeddings in the cache.
            workers: threads that decode ahead, and hash what is large.
            batcher: has images embedded.
            metrics: where is counted what is shared and dropped.
            detector: finds objects in a photo.
            breaker: the encoder's.
            cache: embeddings made before; None keeps none.
            decode_ahead: decode all on threads of their own, while the encoder is busy with the batch before. Otherwise
                each encoder's thread decodes what is quick to decode, and searches with what it embeds.
        """
        self._engine = engine
        self._keys = keys
        self._workers = workers
        self._batcher = batcher
        self._metrics = metrics
        self._detector = detector
        self._breaker = breaker or Breaker()
        self._cache = cache
        self._decode_ahead = decode_ahead
        self._flights: dict[bytes, asyncio.Future[np.ndarray]] = {}

    @property
    def encoder_answers(self) -> bool:
        """Whether the encoder is asked for what the cache does not have."""
        return self._breaker.state is BreakerState.CLOSED

    async def embed(
        self, data: bytes, box: Box | None, deadline: Deadline, stages: Stages, *, then: Then | None = None
    ) -> np.ndarray:
        """Embed a photo, or a part of it.

        Args:
            data: an image file.
            box: the part; None takes all.
            deadline: of the request.
            stages: where the times of `decode` and `embed` are noted, if they are run for this request.
            then: called with the vector on the thread that made it, where that decoded too: without `decode_ahead`, and
                for a JPEG of up to 64 KiB. A vector that was there already is only returned.

        Returns:
            Finite, normalised float32 vector of shape (dim,).

        Raises:
            ImageError: the photo cannot be read.
            Problem: 422, the encoder makes nothing of it; 504, too late.
            SearchFailedError: the encoder failed for it, was late or is not asked.
        """
        key = await self._key(data, box, stages)
        quick = len(data) <= _QUICK and data.startswith(b"\xff\xd8")
        ahead = self._decode_ahead or not quick
        return await self._shared(key, lambda: self._pixels(decode(data), box), deadline, stages, then, ahead=ahead)

    async def embed_dominant(self, data: bytes, deadline: Deadline, stages: Stages) -> tuple[np.ndarray, Box]:
        """Embed the object that a photo shows, as the detector finds it, or all of it where it finds none.

        The photo is decoded each time: only then is known which part of it to look for in the cache. Otherwise as
        `embed`.

        Returns:
            The vector, and the part.
        """
        box, pixels = await self._workers.run("decode", lambda: self._dominant(data), stages)
        key = await self._key(data, None if box == WHOLE else box, stages)

        return await self._shared(key, lambda: pixels, deadline, stages, None, ahead=False), box

    async def regions(self, data: bytes, most: int, stages: Stages) -> list[Region]:
        """Where the detector finds objects in a photo, best first; raises `ImageError`."""
        return await self._workers.run("decode", lambda: self._detector.regions(decode(data), most), stages)

    async def _shared(
        self, key: bytes, pixels: Pixels, deadline: Deadline, stages: Stages, then: Then | None, *, ahead: bool
    ) -> np.ndarray:
        while (flight := self._flights.get(key)) is not None:
            self._metrics.shared.inc()
            # Not the flight itself: it does not end because one of those who wait for it leaves.
            await asyncio.wait([flight])
            if not flight.cancelled():
                return flight.result()
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            vector = await self._found(key, pixels, deadline, stages, then, ahead)
        except Problem as problem:
            if problem.status == 504:
                flight.cancel()  # Its own deadline, not that of the others.
            else:
                _fail(flight, problem)
            raise
        except Exception as error:
            if isinstance(error, SearchFailedError) and error.late:
                flight.cancel()
            else:
                _fail(flight, error)
            raise
        except BaseException:
            flight.cancel()
            raise
        else:
            flight.set_result(vector)
            return vector
        finally:
            del self._flights[key]

    async def _found(
        self, key: bytes, pixels: Pixels, deadline: Deadline, stages: Stages, then: Then | None, ahead: bool
    ) -> np.ndarray:
        if self._cache is not None:
            vector = await self._cache.get(key)
            if vector is not None:
                return vector
        # Where the encoder is not asked, the photo is decoded all the same: what is wrong with it is the caller's.
        if ahead or not self.encoder_answers:
            if deadline.expired:
                self._metrics.dropped("expired").inc()
                raise deadline.problem()
            with self._batcher.announced():
                made = await self._workers.run("decode", pixels, stages)
            embedded = await guarded(self._breaker, deadline, lambda: self._batcher.embed(lambda: made, deadline))
        else:
            ask = partial(self._batcher.embed, pixels, deadline, then=then)
            embedded = await guarded(self._breaker, deadline, ask)
            if "decode" not in stages.seconds:
                stages.record("decode", waited=None, worked=embedded.made)
        stages.record("embed", waited=embedded.waited, worked=embedded.worked)
        if not np.isfinite(embedded.vector).all():
            raise Problem(422, kind="no-embedding", detail="the encoder has no usable embedding for this image")
        if self._cache is not None:
            await self._cache.put(key, embedded.vector)
        return embedded.vector

    def _pixels(self, pixels: np.ndarray, box: Box | None) -> np.ndarray:
        return self._engine.resize(pixels if box is None else box.cut(pixels))

    def _dominant(self, data: bytes) -> tuple[Box, np.ndarray]:
        pixels = decode(data)
        found = self._detector.regions(pixels, 1)
        box = found[0].box if found else WHOLE
        return box, self._pixels(pixels, box)

    async def _key(self, data: bytes, box: Box | None, stages: Stages) -> bytes:
        where = None if box is None else astuple(box)
        if len(data) <= _HASHED_AT_ONCE:
            return self._keys.key(data, where)
        return await self._workers.run("hash", lambda: self._keys.key(data, where), stages)


def _fail(flight: asyncio.Future[np.ndarray], error: Exception) -> None:
    flight.set_exception(error)
    flight.exception()  # Looked at: usually nobody else waits for it.
