"""Images that come together are embedded together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from serve.observe.metrics import Metrics
from serve.path.deadline import Deadline

__all__ = ["Batcher", "Embedded"]

Encode = Callable[[np.ndarray], np.ndarray]
Pixels = Callable[[], np.ndarray]
"""Makes what the encoder takes, uint8 of shape (size, size, 3)."""
Then = Callable[[np.ndarray], None]
"""Is given the vector, float32 of shape (dim,). Must not raise."""


class Embedded(NamedTuple):
    """What became of one image.

    Attributes:
        vector: float32 array of shape (dim,).
        batch: images that were embedded with it, itself included.
        waited: seconds until its batch began.
        made: seconds that making its pixels took.
        worked: seconds that the encoder took for the batch.
    """

    vector: np.ndarray
    batch: int
    waited: float
    made: float
    worked: float


@dataclass(eq=False)
class _Entry:
    pixels: Pixels
    then: Then | None
    deadline: Deadline
    arrived: float
    future: asyncio.Future[Embedded]
    made: float = 0.0


class _Outcome(NamedTuple):
    """Of each image its vector, or what was raised for it, or None where nobody waited; seconds as in `Embedded`."""

    found: list[np.ndarray | Exception | None]
    batch: int
    waited: float
    worked: float


class Batcher:
    """Runs one batch at a time on each encoder, a thread; the next one gathers meanwhile.

    The thread takes its batch through: makes each image's pixels, embeds all, and does with each vector what its
    request wants done next. Where an encoder has a core to itself, handing these over to other threads would cost more
    than the work does; where it has not, callers make pixels before, on threads of their own.

    Once an encoder is free, what has gathered goes

    - at once if it is a full batch, if another encoder is free as well, or if no other image is on its way: waiting
      could only make it later;
    - otherwise when those on their way have come, and no later than `wait` after the first of the batch arrived.

    So a lone request never waits, and under load the batches fill by themselves while those before them run. A window
    that always waits would add its length to every request of a quiet service; one that never does would start a batch
    of one a moment before the others of the same burst are decoded, and make them wait for it.

    Only the event loop's thread touches its state. Work that was cancelled or has expired never reaches an encoder.
    """

    def __init__(self, encode: Encode, *, encoders: int = 1, max_batch: int, wait: float, metrics: Metrics) -> None:
        """Start no thread yet.

        Args:
            encode: uint8 pixels of shape (images, size, size, 3) to float32 vectors of shape (images, dim); it blocks.
            encoders: batches that run at once.
            max_batch: most images of one batch.
            wait: seconds, see above.
            metrics: where batches are counted.
        """
        self._encode = encode
        self._max_batch = max_batch
        self._wait = wait
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(encoders, thread_name_prefix="encoder")
        self._gathered: deque[_Entry] = deque()
        self._coming = 0
        self._free = encoders
        self._window: asyncio.TimerHandle | None = None

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Within it, an image is on its way. Call `embed` right after it, with no `await` between."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            # Soon, not now: the image that was announced joins the batch first.
            asyncio.get_running_loop().call_soon(self._consider)

    async def embed(self, pixels: Pixels, deadline: Deadline, *, then: Then | None = None) -> Embedded:
        """Embed one image, together with others.

        Args:
            pixels: called on the encoder's thread, unless nobody waits for the image any more.
            deadline: after it, the image is dropped unless its batch has begun.
            then: called on that thread with the vector, before anybody else gets it.

        Raises:
            Problem: 504, dropped.
            Exception: what `pixels`, or the encoder, raises for this image alone.
        """
        loop = asyncio.get_running_loop()
        entry = _Entry(pixels, then, deadline, loop.time(), loop.create_future())
        self._gathered.append(entry)
        self._metrics.batch_queue.set(len(self._gathered))
        self._consider()
        try:
            return await entry.future
        except asyncio.CancelledError:
            with suppress(ValueError):  # Its batch runs already; the result is dropped.
                self._gathered.remove(entry)
                self._metrics.dropped("cancelled").inc()
            raise

    def close(self) -> None:
        """Wait for the batches that run."""
        self._threads.shutdown(cancel_futures=True)

    def _consider(self) -> None:
        """Begin a batch, or make sure that somebody will."""
        if not self._free or not self._gathered:
            return
        if self._free == 1 and self._coming and len(self._gathered) < self._max_batch:
            loop = asyncio.get_running_loop()
            ends = self._gathered[0].arrived + self._wait
            if loop.time() < ends:
                if self._window is None:
                    self._window = loop.call_at(ends, self._window_ended)
                return
        self._begin()

    def _window_ended(self) -> None:
        self._window = None
        self._consider()

    def _begin(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None
        batch: list[_Entry] = []
        while self._gathered and len(batch) < self._max_batch:
            entry = self._gathered.popleft()
            if entry.deadline.expired:
                self._metrics.dropped("expired").inc()
                if not entry.future.done():
                    entry.future.set_exception(entry.deadline.problem())
            elif not entry.future.done():
                batch.append(entry)
        self._metrics.batch_queue.set(len(self._gathered))
        if not batch:
            return
        self._free -= 1
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, self._work, batch, time.perf_counter())
        work.add_done_callback(partial(self._ended, batch, loop.time()))

    def _work(self, batch: list[_Entry], queued: float) -> _Outcome:
        began = time.perf_counter()
        made = [_made(entry) for entry in batch]
        images = [image for image in made if isinstance(image, np.ndarray)]
        started = time.perf_counter()
        vectors = iter(self._vectors(images))
        worked = time.perf_counter() - started
        found = [next(vectors) if isinstance(image, np.ndarray) else image for image in made]
        for entry, vector in zip(batch, found, strict=True):
            if entry.then is not None and isinstance(vector, np.ndarray) and not entry.future.done():
                entry.then(vector)
        return _Outcome(found, len(images), began - queued, worked)

    def _vectors(self, images: list[np.ndarray]) -> list[np.ndarray | Exception]:
        if len(images) > 1:
            # Whatever the encoder raises: one image may be to blame, and must not take the others with it.
            with suppress(Exception):
                return list(self._encoded(images))
            self._metrics.batch_retries.inc()
        return [self._alone(image) for image in images]

    def _alone(self, image: np.ndarray) -> np.ndarray | Exception:
        try:
            vector: np.ndarray = self._encoded([image])[0]
        except Exception as error:
            return error
        return vector

    def _encoded(self, images: list[np.ndarray]) -> np.ndarray:
        vectors = self._encode(np.stack(images))
        if len(vectors) != len(images):
            raise RuntimeError(f"the encoder gave {len(vectors)} vectors for {len(images)} images")
        return vectors

    def _ended(self, batch: list[_Entry], began: float, work: asyncio.Future[_Outcome]) -> None:
        self._free += 1
        if work.cancelled():  # Closed.
            for entry in batch:
                entry.future.cancel()
            return
        outcome = work.result()
        if outcome.batch:
            self._metrics.batch_size.observe(outcome.batch)
        for entry, found in zip(batch, outcome.found, strict=True):
            if found is None:
                self._metrics.dropped("cancelled").inc()
            if entry.future.done():
                continue
            if isinstance(found, Exception):
                entry.future.set_exception(found)
                continue
            assert found is not None, "only what nobody waits for is passed over"
            waited = began - entry.arrived + outcome.waited
            entry.future.set_result(Embedded(found, outcome.batch, waited, entry.made, outcome.worked))
        self._consider()


def _made(entry: _Entry) -> np.ndarray | Exception | None:
    """An image's pixels, or what was raised instead; None where nobody waits for it any more."""
    if entry.future.done():
        return None
    started = time.perf_counter()
    try:
        return entry.pixels()
    except Exception as error:
        return error
    finally:
        entry.made = time.perf_counter() - started
