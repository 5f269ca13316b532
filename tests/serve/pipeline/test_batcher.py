import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.deadline import Deadline
from serve.errors import Problem
from serve.metrics import Metrics
from serve.pipeline.batcher import Batcher, Embedded
from src.search.gallery import Hit

pytestmark = pytest.mark.anyio

POISON = 251
NAN = 252
LONG = 60.0


def image(number: int) -> Callable[[], np.ndarray]:
    return lambda: np.full((2, 2, 3), number, np.uint8)


class Encoder:
    """Embeds an image as its first number. Holds each batch until it is let go, if asked to."""

    def __init__(self, *, held: bool = False, encoders: int = 1) -> None:
        self.encoders = encoders
        self.batches: list[list[int]] = []
        self.running = 0
        self.began = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self._held = held

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.running += 1
        assert self.running <= self.encoders, "more batches at once than encoders"
        numbers = [int(number) for number in pixels[:, 0, 0, 0]]
        self.batches.append(numbers)
        self.began.release()
        if self._held:
            assert self.go.acquire(timeout=LONG)
        self.running -= 1
        if POISON in numbers:
            raise RuntimeError("the encoder chokes on an image")
        vectors = np.repeat(np.array(numbers, np.float32)[:, None], 4, axis=1)
        vectors[vectors[:, 0] == NAN] = np.nan
        return vectors, 2 * vectors[:, 0]

    async def until_began(self) -> None:
        """Wait for one more batch to begin."""
        assert await asyncio.to_thread(self.began.acquire, timeout=LONG)


def batcher(encoder: Encoder, *, max_batch: int = 4, wait: float = LONG) -> Batcher:
    return Batcher(encoder, encoders=encoder.encoders, max_batch=max_batch, wait=wait, metrics=Metrics())


def start(made: Batcher, number: int, *, seconds: float = LONG) -> "asyncio.Task[Embedded]":
    return asyncio.create_task(made.embed(image(number), Deadline.after(seconds)))


async def settled() -> None:
    """Everything that is ready to run has run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_single_image_starts_at_once():
    encoder = Encoder()
    found = await batcher(encoder, wait=LONG).embed(image(7), Deadline.after(LONG))
    assert encoder.batches == [[7]]
    assert found.vector.tolist() == [7] * 4
    assert found.hits is None
    assert found.waited >= 0
    assert found.embedded > 0


async def test_images_that_arrive_while_a_batch_runs_form_the_next_ones():
    encoder = Encoder(held=True)
    made = batcher(encoder, max_batch=4)
    tasks = [start(made, 0)]
    await encoder.until_began()
    tasks += [start(made, number) for number in range(1, 8)]
    await settled()
    for _ in range(3):
        encoder.go.release()
    assert [(await task).vector[0] for task in tasks] == list(range(8))
    assert encoder.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


async def test_batch_waits_for_an_image_that_is_being_decoded():
    encoder = Encoder()
    made = batcher(encoder)
    with made.announced():
        first = start(made, 1)
        await settled()
        assert encoder.batches == []
    second = await made.embed(image(2), Deadline.after(LONG))
    assert encoder.batches == [[1, 2]]
    assert (second.vector[0], (await first).vector[0]) == (2, 1)


async def test_batch_starts_when_the_decoding_that_it_waits_for_fails():
    encoder = Encoder()
    made = batcher(encoder)
    with suppress(ZeroDivisionError), made.announced():
        first = start(made, 1)
        await settled()
        raise ZeroDivisionError
    assert (await first).vector[0] == 1
    assert encoder.batches == [[1]]


async def test_full_batch_does_not_wait():
    encoder = Encoder()
    made = batcher(encoder, max_batch=3)
    with made.announced():
        await asyncio.gather(*(start(made, n) for n in range(3)))
    assert encoder.batches == [[0, 1, 2]]


async def test_window_is_anchored_at_the_first_arrival():
    """Later arrivals do not push it back: else a steady stream of them would hold the first one for ever."""
    encoder = Encoder()
    made = batcher(encoder, max_batch=1000, wait=0.05)
    loop = asyncio.get_running_loop()
    with made.announced():
        arrived = loop.time()
        first = start(made, 0)
        others = []
        while not first.done():
            others.append(start(made, len(others) % 200))
            await asyncio.sleep(0.001)
        assert loop.time() - arrived >= 0.05
        assert (await first).waited >= 0.05
        assert len(encoder.batches[0]) < 1000, "it started because it was full"
    await asyncio.gather(*others)


async def test_only_the_last_free_encoder_waits():
    encoder = Encoder(held=True, encoders=2)
    made = batcher(encoder)
    with made.announced():
        first, second = start(made, 1), start(made, 2)
        await encoder.until_began()
        await settled()
        assert encoder.batches == [[1]]
        third = start(made, 3)
        await settled()
        assert encoder.batches == [[1]]
    await encoder.until_began()
    assert encoder.batches == [[1], [2, 3]]
    encoder.go.release(2)
    assert [(await task).vector[0] for task in (first, second, third)] == [1, 2, 3]


async def test_cancelled_and_expired_images_never_reach_the_encoder():
    encoder = Encoder(held=True)
    made = batcher(encoder, max_batch=8)
    tasks = [start(made, 0)]
    await encoder.until_began()
    tasks += [start(made, number) for number in (1, 2)]
    late = start(made, 3, seconds=-1)
    await settled()
    tasks[1].cancel()
    await settled()
    encoder.go.release()
    encoder.go.release()
    assert (await tasks[0]).vector[0] == 0
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    with pytest.raises(Problem) as raised:
        await late
    assert raised.value.status == 504
    assert (await tasks[2]).vector[0] == 2
    assert encoder.batches == [[0], [2]]


async def test_image_whose_batch_runs_may_be_cancelled_too():
    encoder = Encoder(held=True)
    made = batcher(encoder)
    running = start(made, 1)
    await encoder.until_began()
    running.cancel()
    await settled()
    assert running.cancelled()
    after = start(made, 2)
    encoder.go.release()
    encoder.go.release()
    assert (await after).vector[0] == 2


async def test_image_for_which_the_encoder_raises_fails_alone():
    encoder = Encoder()
    made = batcher(encoder, max_batch=4)
    with made.announced():
        results = await asyncio.gather(*(start(made, n) for n in (1, POISON, 3, NAN)), return_exceptions=True)
    assert encoder.batches == [[1, POISON, 3, NAN], [1], [POISON], [3], [NAN]]
    assert isinstance(results[1], RuntimeError)
    assert [results[place].vector[0] for place in (0, 2)] == [1, 3]
    assert np.isnan(results[3].vector).all()
    assert (await made.embed(image(5), Deadline.after(LONG))).vector[0] == 5


async def test_encoder_that_loses_an_image_gives_no_request_the_vector_of_another():
    made = Batcher(
        lambda pixels: (np.ones((1, 4), np.float32), np.ones(1)), encoders=1, max_batch=2, wait=LONG, metrics=Metrics()
    )
    with made.announced():
        found = await asyncio.gather(start(made, 1), start(made, 2))
    assert len(found) == 2  # Each was embedded by itself, for which one vector is right.
    empty = Batcher(
        lambda pixels: (np.ones((0, 4), np.float32), np.ones(0)), encoders=1, max_batch=2, wait=LONG, metrics=Metrics()
    )
    with pytest.raises(RuntimeError, match="0 vectors for 1 images"):
        await empty.embed(image(1), Deadline.after(LONG))


async def test_pixels_are_made_on_the_encoders_thread_and_a_broken_image_fails_alone():
    threads = set()

    def made(number: int) -> np.ndarray:
        threads.add(threading.current_thread().name)
        if number == 2:
            raise ValueError("no picture")
        return image(number)()

    encoder = Encoder(held=True)
    batches = batcher(encoder)
    first = start(batches, 0)
    await encoder.until_began()
    tasks = [asyncio.create_task(batches.embed(partial(made, n), Deadline.after(LONG))) for n in (1, 2, 3)]
    await settled()
    encoder.go.release(2)
    results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert encoder.batches == [[0], [1, 3]]
    assert isinstance(results[2], ValueError)
    assert [results[place].vector[0] for place in (1, 3)] == [1, 3]
    assert results[1].decoded > 0
    assert all(name.startswith("encoder") for name in threads)


async def test_batch_of_broken_images_does_not_call_the_encoder():
    def broken() -> np.ndarray:
        raise ValueError("no picture")

    encoder = Encoder()
    with pytest.raises(ValueError, match="no picture"):
        await batcher(encoder).embed(broken, Deadline.after(LONG))
    assert encoder.batches == []


async def test_image_of_a_cancelled_request_is_not_decoded():
    encoder, began, go = Encoder(), threading.Event(), threading.Event()
    batches = batcher(encoder)
    made = []

    def slow() -> np.ndarray:
        began.set()
        assert go.wait(LONG)
        return image(1)()

    def second() -> np.ndarray:
        made.append(2)
        return image(2)()

    with batches.announced():
        first = asyncio.create_task(batches.embed(slow, Deadline.after(LONG)))
        late = asyncio.create_task(batches.embed(second, Deadline.after(LONG)))
        await settled()
    assert await asyncio.to_thread(began.wait, LONG)
    late.cancel()
    await settled()
    go.set()
    assert (await first).vector[0] == 1
    assert (made, encoder.batches) == ([], [[1]])


async def test_search_runs_on_the_encoders_thread_with_the_vector():
    def search(vector: np.ndarray) -> list[Hit]:
        if vector[0] == 3:
            raise LookupError("no such filter")
        return [Hit(float(vector[0]), {"thread": threading.current_thread().name})]

    encoder = Encoder()
    made = batcher(encoder)
    with made.announced():
        embed = [made.embed(image(n), Deadline.after(LONG), search=search) for n in (7, 3)]
        tasks = [
            asyncio.create_task(one) for one in [*embed, made.embed(image(NAN), Deadline.after(LONG), search=search)]
        ]
        await settled()
    found, failed, nothing = await asyncio.gather(*tasks)
    assert encoder.batches == [[7, 3, NAN]]
    ((score, row),) = found.hits
    assert score == 7
    assert row["thread"].startswith("encoder")
    assert isinstance(failed.hits, LookupError)
    assert failed.vector[0] == 3
    assert nothing.hits is None, "there is no search with what is no vector"


async def test_search_of_a_request_that_was_cancelled_does_not_run():
    searched = []
    encoder = Encoder(held=True)
    made = batcher(encoder)
    task = asyncio.create_task(made.embed(image(1), Deadline.after(LONG), search=searched.append))
    await encoder.until_began()
    task.cancel()
    await settled()
    encoder.go.release()
    after = start(made, 2)
    encoder.go.release()
    assert (await after).vector[0] == 2
    assert searched == []


async def test_dropped_images_are_counted():
    encoder = Encoder(held=True)
    made = batcher(encoder)
    first, late, cancelled = start(made, 0), start(made, 1, seconds=-1), start(made, 2)
    await encoder.until_began()
    cancelled.cancel()
    await settled()
    encoder.go.release(2)
    await asyncio.gather(first, late, cancelled, return_exceptions=True)
    assert [made._metrics.dropped.labels(reason)._value.get() for reason in ("expired", "cancelled")] == [1, 1]
    assert made._metrics.batch_queue._value.get() == 0


async def test_batches_that_are_closed_before_they_run_are_cancelled():
    encoder = Encoder(held=True)
    made = batcher(encoder)
    made._free = 2  # The thread is busy with the first batch, so the second waits for it.
    first = start(made, 1)
    await encoder.until_began()
    second = start(made, 2)
    await settled()
    closing = asyncio.create_task(asyncio.to_thread(made.close))
    with pytest.raises(asyncio.CancelledError):
        await second
    encoder.go.release()
    await closing
    assert (await first).vector[0] == 1
    assert encoder.batches == [[1]]


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "announce", "cancel", "fail", "turn", "pause"]), st.integers(0, 1000)),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, encoders=st.integers(1, 3), max_batch=st.integers(1, 5), wait=st.sampled_from([0, 0.002, LONG]))
def test_each_request_gets_its_own_vector_whatever_comes_and_goes(steps, encoders, max_batch, wait):
    encoder = Encoder(encoders=encoders)

    async def come(made: Batcher, number: int, *, decoding: int, broken: bool) -> float:
        with made.announced():
            for _ in range(decoding):
                await asyncio.sleep(0)
            if broken:
                raise ZeroDivisionError
        return float((await made.embed(image(number), Deadline.after(LONG))).vector[0])

    async def run() -> None:
        made = batcher(encoder, max_batch=max_batch, wait=wait)
        tasks: list[asyncio.Task[float]] = []
        cancelled: set[int] = set()
        broken: set[int] = set()
        for what, number in steps:
            if what in ("arrive", "announce", "fail"):
                if what == "fail":
                    broken.add(len(tasks))
                decoding = 0 if what == "arrive" else 1 + number % 7
                work = come(made, len(tasks), decoding=decoding, broken=what == "fail")
                tasks.append(asyncio.create_task(work))
            elif what == "cancel" and tasks:
                tasks[number % len(tasks)].cancel()
                cancelled.add(number % len(tasks))
            elif what == "turn":
                await asyncio.sleep(0)
            elif what == "pause":
                await asyncio.sleep(random.Random(number).random() / 1000)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            if isinstance(result, asyncio.CancelledError):
                assert number in cancelled
            elif isinstance(result, ZeroDivisionError):
                assert number in broken
            else:
                assert result == number
        made.close()

    asyncio.run(asyncio.wait_for(run(), LONG))
    embedded = [number for batch in encoder.batches for number in batch]
    assert len(embedded) == len(set(embedded)), "embedded twice"
    assert all(1 <= len(batch) <= max_batch for batch in encoder.batches)
