"""Dynamic batching: images that wait at the same time are embedded in one call of the encoder."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from serve.deadline import Deadline
from serve.metrics import Metrics
from src.search.gallery import Hit

__all__ = ["Batcher", "Embedded", "Pixels", "Search"]

T = TypeVar("T")

Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Embeds uint8 pixels of shape (images, size, size, 3) as float32 vectors of shape (images, dim), with norms before L2,
of shape (images,); blocks."""
Pixels = Callable[[], np.ndarray]
"""Makes the pixels of one image, uint8 of shape (size, size, 3)."""
Search = Callable[[np.ndarray], list[Hit]]
"""Searches with a vector, float32 of shape (dim,)."""


@dataclass
class Embedded:
    """The embedding of one image, float32 of shape (dim,), with the seconds of its stages.

    Attributes:
        hits: the result of the search that was passed to `embed`, or the exception that it raised; None without one.
        waited: until the batch began.
        embedded: for the whole batch.
        norm: before L2; NaN where the graph gives none, or the vector is of the cache.
        pixels: what was embedded, uint8 of shape (size, size, 3); None for a vector of the cache.
    """

    vector: np.ndarray
    hits: list[Hit] | Exception | None = None
    waited: float = 0.0
    decoded: float = 0.0
    embedded: float = 0.0
    searched: float = 0.0
    norm: float = float("nan")
    pixels: np.ndarray | None = None


_Vector = tuple[np.ndarray, float]
_Outcome = Embedded | Exception | None
"""Of an image in a batch; None where its request was cancelled."""


@dataclass(eq=False)
class _Entry:
    pixels: Pixels
    search: Search | None
    deadline: Deadline
    future: asyncio.Future[Embedded]
    queued: float = field(default_factory=time.perf_counter)
    decoded: float = 0.0


class Batcher:
    """Runs one batch at a time on each encoder thread; the next batch gathers meanwhile.

    The thread runs its batch to the end: it makes each image's pixels, embeds all of them, and searches with each
    vector. Where each encoder has a core of its own, handing these stages over between threads would cost more than
    they do. Elsewhere callers make the pixels on other threads before, and search on other threads afterwards.

    When an encoder is free, the waiting images start

    - at once, if they fill a batch, if another encoder is free too, or if no further image is being decoded;
    - otherwise when the images that are being decoded have arrived, at the latest `wait` after the first one came.

    So a single request never waits for others, and under load the batches fill while the ones before them run.

    Only the event loop's thread touches the state. Cancelled and expired images never reach an encoder.
    """

    def __init__(self, encode: Encode, *, encoders: int, max_batch: int, wait: float, metrics: Metrics) -> None:
        """Start no thread yet; `encoders` batches, of at most `max_batch` images, run at once; `wait` is in seconds."""
        self._encode = encode
        self._max_batch = max_batch
        self._wait = wait
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(encoders, thread_name_prefix="encoder")
        self._waiting: deque[_Entry] = deque()
        self._coming = 0
        self._free = encoders
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Within the block, an image is being decoded. Call `embed` right after it, without an `await` between."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            # Not now but soon: the announced image joins the batch first.
            asyncio.get_running_loop().call_soon(self._consider)

    async def embed(self, pixels: Pixels, deadline: Deadline, *, search: Search | None = None) -> Embedded:
        """Embed one image in a batch with others; `pixels` and `search` run on the encoder's thread.

        Raises:
            Problem: 504, the deadline passed before its batch began.
            Exception: what `pixels`, or the encoder, raises for this image alone.
        """
        entry = _Entry(pixels, search, deadline, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._consider()
        try:
            return await entry.future
        except asyncio.CancelledError:
            with suppress(ValueError):  # Its batch runs already, and its result is dropped.
                self._waiting.remove(entry)
                self._metrics.dropped.labels("cancelled").inc()
            raise

    def close(self) -> None:
        """Wait for the batches that run."""
        self._threads.shutdown(cancel_futures=True)

    def _consider(self) -> None:
        """Start a batch now, or set the timer that will."""
        self._metrics.batch_queue.set(len(self._waiting))
        if self._timer is not None:
            self._timer.cancel()
        if not self._free or not self._waiting:
            return
        if self._free == 1 and self._coming and len(self._waiting) < self._max_batch:
            rest = self._wait - (time.perf_counter() - self._waiting[0].queued)
            if rest > 0:
                self._timer = asyncio.get_running_loop().call_later(rest, self._consider)
                return
        self._start()

    def _start(self) -> None:
        batch: list[_Entry] = []
        while self._waiting and len(batch) < self._max_batch:
            entry = self._waiting.popleft()
            if entry.deadline.expired and not entry.future.done():
                self._metrics.dropped.labels("expired").inc()
                entry.future.set_exception(entry.deadline.problem())
            elif not entry.future.done():
                batch.append(entry)
        self._metrics.batch_queue.set(len(self._waiting))
        if batch:
            self._free -= 1
            work = asyncio.get_running_loop().run_in_executor(self._threads, self._run, batch)
            work.add_done_callback(lambda ended: self._ended(batch, ended))

    def _run(self, batch: list[_Entry]) -> list[_Outcome]:
        """On an encoder's thread."""
        began = time.perf_counter()
        made = [_pixels(entry) for entry in batch]
        images = [image for image in made if isinstance(image, np.ndarray)]
        started = time.perf_counter()
        vectors = iter(self._embed(images))
        seconds = time.perf_counter() - started
        if images:
            self._metrics.batch_images.observe(len(images))
        outcomes: list[_Outcome] = []
        for entry, image in zip(batch, made, strict=True):
            if not isinstance(image, np.ndarray):
                outcomes.append(image)
                continue
            found = next(vectors)
            if isinstance(found, Exception):
                outcomes.append(found)
                continue
            embedded = Embedded(found[0], None, began - entry.queued, entry.decoded, seconds, 0.0, found[1], image)
            _search(entry, embedded)
            outcomes.append(embedded)
        return outcomes

    def _embed(self, images: list[np.ndarray]) -> list[_Vector | Exception]:
        if len(images) > 1:
            # One image may be the cause of an error, and must not fail the others.
            with suppress(Exception):
                return list(self._encoded(images))
            self._metrics.batch_retries.inc()
        alone = [_tried(partial(self._encoded, [image])) for image in images]
        return [vectors if isinstance(vectors, Exception) else vectors[0] for vectors in alone]

    def _encoded(self, images: list[np.ndarray]) -> list[_Vector]:
        vectors, norms = self._encode(np.stack(images))
        if len(vectors) != len(images):
            raise RuntimeError(f"the encoder returned {len(vectors)} vectors for {len(images)} images")
        return list(zip(vectors, norms.tolist(), strict=True))

    def _ended(self, batch: list[_Entry], work: asyncio.Future[list[_Outcome]]) -> None:
        self._free += 1
        outcomes = [None] * len(batch) if work.cancelled() else work.result()  # Cancelled: closed.
        for entry, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                self._metrics.dropped.labels("cancelled").inc()
                entry.future.cancel()
            elif not entry.future.done():
                if isinstance(outcome, Exception):
                    entry.future.set_exception(outcome)
                else:
                    entry.future.set_result(outcome)
        self._consider()


def _pixels(entry: _Entry) -> np.ndarray | Exception | None:
    if entry.future.done():
        return None
    started = time.perf_counter()
    pixels = _tried(entry.pixels)
    entry.decoded = time.perf_counter() - started
    return pixels


def _search(entry: _Entry, embedded: Embedded) -> None:
    if entry.search is not None and not entry.future.done() and np.isfinite(embedded.vector).all():
        started = time.perf_counter()
        embedded.hits = _tried(partial(entry.search, embedded.vector))
        embedded.searched = time.perf_counter() - started


def _tried(work: Callable[[], T]) -> T | Exception:
    """The result of work, or the exception that it raised."""
    try:
        return work()
    except Exception as error:
        return error
