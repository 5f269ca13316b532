import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator

import numpy as np
import pytest
from serve.bundle.engine import Engine
from serve.observe.metrics import Metrics
from serve.path.batcher import Batcher
from serve.path.box import Box
from serve.path.detector import SaliencyDetector
from serve.path.embedder import Embedder
from serve.path.guard import SearchFailedError
from serve.path.stages import Stages
from serve.path.workers import Workers

from serve.cache.key import EmbeddingKeys
from serve.deadline import Deadline
from serve.errors import Problem
from src.contracts.bundle import ENCODER
from src.contracts.preprocessing import CorruptImageError, decode, preprocess
from tests.search.small_bundle import SPEC, Shop, jpeg, picture

pytestmark = pytest.mark.anyio

LONG = 60.0
GOOD = picture(5)


class Memory:
    """A cache that tells what it was asked."""

    def __init__(self) -> None:
        self.kept: dict[bytes, np.ndarray] = {}
        self.asked: Counter[bytes] = Counter()

    async def get(self, key: bytes) -> np.ndarray | None:
        self.asked[key] += 1
        return self.kept.get(key)

    async def put(self, key: bytes, vector: np.ndarray) -> None:
        self.kept[key] = vector


class Path:
    """A real engine behind an embedder; batches are counted, and held while `held` is set."""

    def __init__(self, engine: Engine, *, decode_ahead: bool) -> None:
        self.engine = engine
        self.metrics = Metrics()
        self.cache = Memory()
        self.batches: list[int] = []
        self.began = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self.workers = Workers(threads=2)
        self.batcher = Batcher(self.encode, max_batch=8, wait=0.01, metrics=self.metrics)
        self.embedder = Embedder(
            engine=engine,
            keys=EmbeddingKeys.of(engine.bundle.content, encoder_file=ENCODER, arithmetic=engine.runtime),
            workers=self.workers,
            batcher=self.batcher,
            metrics=self.metrics,
            detector=SaliencyDetector(),
            cache=self.cache,
            decode_ahead=decode_ahead,
        )

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        self.began.release()
        assert self.free.wait(LONG)
        if (pixels == 0).all(axis=(1, 2, 3)).any():
            raise RuntimeError("black")
        vectors = self.engine.embed(pixels)
        vectors[(pixels == 255).all(axis=(1, 2, 3))] = np.nan
        return vectors

    async def until_began(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=LONG)

    def embed(
        self, data: bytes, *, box: Box | None = None, seconds: float = LONG, stages: Stages | None = None
    ) -> "asyncio.Task[np.ndarray]":
        stages = stages or Stages(self.metrics)
        return asyncio.create_task(self.embedder.embed(data, box, Deadline.after(seconds), stages))


@pytest.fixture(scope="module")
def engine(shop: Shop) -> Engine:
    return Engine.open(shop.root, encoder_threads=1)


@pytest.fixture(params=[True, False], ids=["ahead", "through"])
async def path(engine: Engine, request: pytest.FixtureRequest) -> AsyncIterator[Path]:
    made = Path(engine, decode_ahead=request.param)
    yield made
    made.free.set()
    made.workers.close()
    made.batcher.close()


def flat(value: int) -> bytes:
    return jpeg(np.full((40, 40, 3), value, np.uint8), form="PNG")


async def test_vector_is_that_of_the_preprocessed_photo(path, engine):
    stages = Stages(path.metrics)
    vector = await path.embed(GOOD, stages=stages)
    np.testing.assert_allclose(vector, engine.embed(preprocess(GOOD, SPEC)[None])[0], atol=1e-6)
    assert stages.seconds.keys() == {"decode", "embed"}


async def test_box_embeds_that_part(path, engine):
    box = Box(x=0.25, y=0.5, width=0.5, height=0.25)
    vector = await path.embed(GOOD, box=box)
    cut = decode(GOOD)[48:72, 24:72]
    np.testing.assert_allclose(vector, engine.embed(engine.resize(cut)[None])[0], atol=1e-6)
    assert not np.allclose(vector, await path.embed(GOOD), atol=0.05)
    assert len(path.cache.kept) == 2


async def test_cached_vector_is_neither_decoded_nor_embedded(path):
    first = await path.embed(GOOD)
    stages = Stages(path.metrics)
    assert (await path.embed(GOOD, stages=stages) == first).all()
    assert (path.batches, stages.seconds) == ([1], {})


async def test_equal_images_in_flight_are_embedded_once(path):
    path.free.clear()
    tasks = [path.embed(GOOD) for _ in range(5)]
    await path.until_began()
    path.free.set()
    vectors = await asyncio.gather(*tasks)
    assert path.batches == [1]
    assert sum(path.cache.asked.values()) == 1
    assert all((vector == vectors[0]).all() for vector in vectors)


async def test_when_the_first_gives_up_the_next_takes_over(path):
    path.free.clear()
    first, second, third = (path.embed(GOOD) for _ in range(3))
    await path.until_began()
    first.cancel()
    third.cancel()
    await asyncio.wait([first, third])
    path.free.set()
    assert np.isfinite(await second).all()
    assert path.batches == [1, 1]


async def test_one_ones_deadline_is_not_that_of_the_others(path):
    late, in_time = path.embed(GOOD, seconds=-1), path.embed(GOOD)
    with pytest.raises(Problem) as raised:
        await late
    assert raised.value.status == 504
    assert np.isfinite(await in_time).all()
    assert path.batches == [1], "what has expired is not decoded"


async def test_who_waits_for_one_that_is_late_takes_over(path):
    path.free.clear()
    late = path.embed(GOOD, seconds=0.2)
    await path.until_began()
    in_time = path.embed(GOOD)
    with pytest.raises(SearchFailedError):
        await late
    path.free.set()
    assert np.isfinite(await in_time).all()


async def test_broken_image_is_told_to_all_who_sent_it_and_to_nobody_else(path):
    tasks = [path.embed(data) for data in (GOOD[:900], GOOD[:900], GOOD, flat(255), flat(255), flat(0))]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [CorruptImageError] * 2
    assert np.isfinite(results[2]).all()
    assert [(result.status, result.kind) for result in results[3:5]] == [(422, "no-embedding")] * 2
    assert isinstance(results[5], SearchFailedError)
    assert isinstance(results[5].__cause__, RuntimeError)
    assert len(path.cache.kept) == 1, "only what can be used is kept"


async def test_what_comes_next_is_done_on_the_encoders_thread_where_that_decodes_too(path, request):
    given = []
    stages = Stages(path.metrics)
    vector = await path.embedder.embed(
        GOOD,
        None,
        Deadline.after(LONG),
        stages,
        then=lambda made: given.append((threading.current_thread().name, made)),
    )
    if "ahead" in request.node.name:
        assert given == []
        return
    ((thread, made),) = given
    assert thread.startswith("encoder")
    assert (made == vector).all()
    await path.embedder.embed(GOOD, None, Deadline.after(LONG), stages, then=lambda _: given.append(None))
    assert len(given) == 1, "what the cache has is only returned"


async def test_failure_is_not_kept(path):
    for _ in range(2):
        with pytest.raises(SearchFailedError):
            await path.embed(flat(0))
    assert path.batches == [1, 1]
    assert np.isfinite(await path.embed(GOOD)).all()


async def test_large_file_is_hashed_on_a_thread_to_the_same_key(path):
    large = GOOD + bytes(300_000)  # Decoders stop at the end of the picture.
    stages = Stages(path.metrics)
    await path.embed(large, stages=stages)
    assert "hash" in stages.seconds
    assert await path.embed(large) is path.cache.kept[next(iter(path.cache.kept))]
