import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator

import numpy as np
import pytest

from serve.breaker import Breaker, BreakerState
from serve.cache.key import EmbeddingKeys
from serve.deadline import Deadline
from serve.errors import Problem
from serve.metrics import Metrics
from serve.pipeline.batcher import Batcher, Embedded
from serve.pipeline.decoding import Decoding
from serve.pipeline.embedder import Embedder
from serve.pipeline.guard import SearchFailedError
from serve.pipeline.threads import ThreadPools
from serve.stages import Stages
from src.contracts.bundle import ENCODER
from src.contracts.image_errors import CorruptImageError, ImageTooLargeError
from src.contracts.preprocessing import decode, preprocess
from src.search.box import WHOLE, Box
from src.search.regions import open_detector
from src.search.searcher import Searcher
from tests.search.small_bundle import SPEC, Shop, jpeg, picture

pytestmark = pytest.mark.anyio

LONG = 60.0
GOOD = picture(5)


class Memory:
    """A cache that counts its lookups."""

    def __init__(self) -> None:
        self.kept: dict[bytes, np.ndarray] = {}
        self.looked_up: Counter[bytes] = Counter()

    async def get(self, key: bytes) -> np.ndarray | None:
        self.looked_up[key] += 1
        return self.kept.get(key)

    def put(self, key: bytes, vector: np.ndarray) -> None:
        self.kept[key] = vector


class Path:
    """An embedder over a real bundle; batches are counted, and held while `free` is not set."""

    def __init__(self, searcher: Searcher, *, decode_ahead: bool) -> None:
        self.searcher = searcher
        self.metrics = Metrics()
        self.cache = Memory()
        self.breaker = Breaker()
        self.batches: list[int] = []
        self.began = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self.pools = ThreadPools(threads=2)
        self.batcher = Batcher(self.encode, encoders=1, max_batch=8, wait=0.01, metrics=self.metrics)
        self.embedder = Embedder(
            searcher=searcher,
            keys=EmbeddingKeys.of(searcher.bundle.content, encoder_file=ENCODER, arithmetic=searcher.runtime),
            pools=self.pools,
            decoding=Decoding(pools=self.pools, most=2**28, max_pixels=10**6),
            batcher=self.batcher,
            metrics=self.metrics,
            detector=open_detector("saliency"),
            breaker=self.breaker,
            cache=self.cache,
            decode_ahead=decode_ahead,
        )

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(len(pixels))
        self.began.release()
        assert self.free.wait(LONG)
        if (pixels == 0).all(axis=(1, 2, 3)).any():
            raise RuntimeError("black")
        vectors = self.searcher.embed_pixels(pixels)
        vectors[(pixels == 255).all(axis=(1, 2, 3))] = np.nan
        return vectors, np.full(len(vectors), 2.0)

    async def until_began(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=LONG)

    def embed(
        self, data: bytes, *, box: Box | None = None, seconds: float = LONG, stages: Stages | None = None, search=None
    ) -> "asyncio.Task[Embedded]":
        stages = stages or Stages(self.metrics)
        return asyncio.create_task(self.embedder.embed(data, box, Deadline.after(seconds), stages, search=search))


@pytest.fixture(scope="module")
def searcher(shop: Shop) -> Searcher:
    return Searcher.open(shop.root, threads=1)


@pytest.fixture(params=[True, False], ids=["ahead", "on-the-encoders-thread"])
async def path(searcher: Searcher, request: pytest.FixtureRequest) -> AsyncIterator[Path]:
    made = Path(searcher, decode_ahead=request.param)
    yield made
    made.free.set()
    made.pools.close()
    made.batcher.close()


def flat(value: int) -> bytes:
    return jpeg(np.full((40, 40, 3), value, np.uint8), form="PNG")


async def test_vector_is_that_of_the_preprocessed_photo(path, searcher):
    stages = Stages(path.metrics)
    embedded = await path.embed(GOOD, stages=stages)
    expected = searcher.embed_pixels(preprocess(GOOD, SPEC)[None])[0]
    np.testing.assert_allclose(embedded.vector, expected, atol=1e-6)
    assert stages.seconds.keys() == {"decode", "embed"}


async def test_box_embeds_that_part(path, searcher):
    box = Box(x=0.25, y=0.5, width=0.5, height=0.25)
    vector = (await path.embed(GOOD, box=box)).vector
    cut = decode(GOOD)[48:72, 24:72]
    np.testing.assert_allclose(vector, searcher.embed_pixels(searcher.resized(cut, None)[None])[0], atol=1e-6)
    assert not np.allclose(vector, (await path.embed(GOOD)).vector, atol=0.05)
    assert len(path.cache.kept) == 2


async def test_cached_vector_is_neither_decoded_nor_embedded(path):
    first = await path.embed(GOOD)
    stages = Stages(path.metrics)
    again = await path.embed(GOOD, stages=stages, search=lambda vector: pytest.fail("the caller searches"))
    assert (again.vector == first.vector).all()
    assert again.hits is None
    assert (path.batches, stages.seconds) == ([1], {})


async def test_equal_photos_in_flight_are_embedded_once(path):
    path.free.clear()
    tasks = [path.embed(GOOD) for _ in range(5)]
    await path.until_began()
    path.free.set()
    embedded = await asyncio.gather(*tasks)
    assert path.batches == [1]
    assert sum(path.cache.looked_up.values()) == 1
    assert all((one.vector == embedded[0].vector).all() for one in embedded)
    assert path.metrics.shared_embeddings._value.get() == 4


async def test_when_the_first_is_cancelled_the_next_takes_over(path):
    path.free.clear()
    first, second, third = (path.embed(GOOD) for _ in range(3))
    await path.until_began()
    first.cancel()
    third.cancel()
    await asyncio.wait([first, third])
    path.free.set()
    assert np.isfinite((await second).vector).all()
    assert path.batches == [1, 1]


async def test_deadline_of_one_request_is_not_that_of_an_equal_one(path):
    late, in_time = path.embed(GOOD, seconds=-1), path.embed(GOOD)
    with pytest.raises(Problem) as caught:
        await late
    assert caught.value.status == 504
    assert np.isfinite((await in_time).vector).all()
    assert path.batches == [1], "the expired photo is not embedded"


async def test_request_that_waits_for_a_late_one_takes_over(path):
    path.free.clear()
    late = path.embed(GOOD, seconds=0.2)
    await path.until_began()
    in_time = path.embed(GOOD)
    with pytest.raises(SearchFailedError):
        await late
    path.free.set()
    assert np.isfinite((await in_time).vector).all()


async def test_broken_photo_is_an_error_for_all_who_sent_it_and_for_no_other(path):
    tasks = [path.embed(data) for data in (GOOD[:900], GOOD[:900], GOOD, flat(255), flat(255), flat(0))]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [CorruptImageError] * 2
    assert np.isfinite(results[2].vector).all()
    assert [(result.status, result.kind) for result in results[3:5]] == [(422, "no-embedding")] * 2
    assert isinstance(results[5], SearchFailedError)
    assert isinstance(results[5].__cause__, RuntimeError)
    assert len(path.cache.kept) == 1, "only a finite embedding is kept"


async def test_large_photo_is_refused_before_it_is_decoded(path, monkeypatch):
    monkeypatch.setattr(path.searcher, "pixels", lambda *_, **__: pytest.fail("it was decoded"), raising=True)
    with pytest.raises(ImageTooLargeError, match="1001 x 1000 pixels"):
        await path.embed(jpeg(np.zeros((1000, 1001, 3), np.uint8)))


async def test_search_runs_on_the_encoders_thread_where_that_decodes_too(path, request):
    given = []

    def search(vector: np.ndarray) -> list:
        given.append((threading.current_thread().name, vector))
        return []

    embedded = await path.embed(GOOD, search=search)
    if "ahead" in request.node.name:
        assert (given, embedded.hits) == ([], None)
        return
    ((thread, vector),) = given
    assert thread.startswith("encoder")
    assert (vector == embedded.vector).all()
    assert embedded.hits == []
    assert (await path.embed(picture(6, size=96), search=search)).hits == []
    assert (await path.embed(flat(77), search=search)).hits is None, "a PNG is decoded on another thread"


async def test_failures_open_the_breaker_and_are_not_kept(path):
    for _ in range(5):
        with pytest.raises(SearchFailedError):
            await path.embed(flat(0))
    assert path.batches == [1] * 5
    assert path.breaker.state is BreakerState.OPEN
    assert not path.embedder.encoder_answers
    with pytest.raises(SearchFailedError):
        await path.embed(GOOD)
    assert path.batches == [1] * 5
    with pytest.raises(CorruptImageError):
        await path.embed(GOOD[:900])


async def test_dominant_object_is_found_cut_and_embedded(path, searcher):
    pixels = np.full((300, 400, 3), 128, np.uint8)
    pixels[60:156, 60:156] = decode(picture(7))
    data = jpeg(pixels, form="PNG")
    embedded, box = await path.embedder.embed_dominant(data, Deadline.after(LONG), Stages(path.metrics))
    assert box != WHOLE
    np.testing.assert_allclose(embedded.vector, (await path.embed(data, box=box)).vector, atol=1e-6)
    plain, whole = await path.embedder.embed_dominant(flat(90), Deadline.after(LONG), Stages(path.metrics))
    assert whole == WHOLE
    assert (plain.vector == (await path.embed(flat(90))).vector).all()


async def test_large_file_is_hashed_on_a_thread_to_the_same_key(path):
    large = GOOD + bytes(300_000)  # Decoders stop at the end of the picture.
    stages = Stages(path.metrics)
    await path.embed(large, stages=stages)
    assert "hash" in stages.seconds
    assert (await path.embed(large)).vector is path.cache.kept[next(iter(path.cache.kept))]
