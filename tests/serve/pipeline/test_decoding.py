"""Which photos are decoded where, which are refused, and what decoding takes of a real process."""

import asyncio
import dataclasses
import functools
import io
import itertools
import struct
import threading
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from serve.app import create_app
from serve.errors import Problem
from serve.metrics import Metrics
from serve.pipeline.decoding import Cost, Decoding
from serve.pipeline.threads import ThreadPools
from serve.settings import ServeSettings
from serve.stages import Stages
from src.contracts.image_errors import ImageTooLargeError
from src.contracts.image_header import decoding_bytes, read_header
from tests.search.small_bundle import SPEC, Shop, picture
from tests.serve.problems import check_problem
from tests.serve.running import PATIENCE, Running, running

MIB = 1024 * 1024


@functools.cache
def encoded(width: int, height: int, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 10)).save(buffer, form, **options)
    return buffer.getvalue()


def png_head(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header announces many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.fixture
def pools() -> Iterator[ThreadPools]:
    made = ThreadPools(threads=2)
    yield made
    made.close()


def decoding(pools: ThreadPools, *, most: int = 512 * MIB, max_pixels: int = 64_000_000) -> Decoding:
    return Decoding(pools=pools, most=most, max_pixels=max_pixels)


@pytest.mark.parametrize(
    ("data", "cost"),
    [
        (picture(1), Cost.QUICK),
        (encoded(1000, 1000, "JPEG"), Cost.QUICK),
        (encoded(100, 100, "PNG"), Cost.NORMAL),
        (encoded(2500, 2500, "JPEG"), Cost.NORMAL),
        (encoded(8000, 8000, "WEBP", quality=10, method=0), Cost.LARGE),
        (encoded(6000, 6000, "PNG"), Cost.LARGE),
    ],
)
def test_cost_follows_from_the_memory_that_the_header_announces(pools, data, cost):
    assert decoding(pools).cost(read_header(data)) is cost
    size = decoding_bytes(read_header(data))
    with pytest.raises(ImageTooLargeError, match=f"takes {size // MIB:,} MiB; at most {(size - 1) // MIB:,} MiB"):
        decoding(pools, most=size - 1).cost(read_header(data))
    assert decoding(pools, most=size).cost(read_header(data)) is cost


def test_cost_is_that_of_the_scale_at_which_the_encoder_needs_it(pools):
    data = encoded(2500, 2500, "JPEG")
    costs = {"reduced": Cost.QUICK, "full": Cost.NORMAL}
    for name, cost in costs.items():
        assert decoding(pools).cost(read_header(data), dataclasses.replace(SPEC, decoding=name)) is cost


def test_pixels_are_bounded(pools):
    data = encoded(100, 100, "PNG")
    assert decoding(pools, max_pixels=10_000).cost(read_header(data)) is Cost.NORMAL
    with pytest.raises(ImageTooLargeError, match="100 x 100 pixels; at most 9,999 pixels"):
        decoding(pools, max_pixels=9_999).cost(read_header(data))


@pytest.mark.anyio
async def test_large_photos_are_decoded_one_at_a_time_and_few_may_wait(pools):
    made, stages, go = decoding(pools), Stages(Metrics()), threading.Event()
    running, most = 0, 0

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        assert go.wait(60)
        running -= 1

    tasks = [asyncio.create_task(made.run(Cost.LARGE, work, stages)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Problem, match="4 large photos are waiting") as caught:
        await made.run(Cost.LARGE, work, stages)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "2")
    assert await made.run(Cost.NORMAL, lambda: 7, stages) == 7, "others do not wait for them"
    go.set()
    await asyncio.gather(*tasks)
    assert most == 1
    assert await made.run(Cost.LARGE, lambda: 7, stages) == 7


@pytest.fixture(scope="module")
def limited(shop: Shop) -> Iterator[Running]:
    """Caches are off: each photo is decoded."""
    arguments = ["--bundle", str(shop.root), "--workers", "2", "--encoders", "2", "--cache-mib", "0"]
    with running(arguments) as started:
        yield started
        code, errors = started.stop()
        assert code == 0, errors


@pytest.mark.parametrize("size", [(60_000, 60_000), (9_000, 9_000), (32_768, 1)])
def test_photo_that_announces_too_many_pixels_is_413(client, size):
    check_problem(client.post("/v1/search", files={"image": ("p", png_head(*size))}), 413)


def test_max_pixels_is_a_setting(shop):
    with TestClient(create_app(shop.root, ServeSettings(max_pixels=10_000, cache_mib=0))) as small:
        for form in ("JPEG", "PNG", "WEBP"):
            for path in ("/v1/search", "/v1/search?box=auto", "/v1/search?box=0,0,0.5,0.5", "/v1/regions"):
                fits, large = ({"image": ("p", encoded(side, 100, form))} for side in (100, 101))
                assert small.post(path, files=fits).status_code == 200
                assert "101 x 100 pixels" in check_problem(small.post(path, files=large), 413)
        assert small.get("/v1/bundle").json()["limits"]["max_pixels"] == 10_000


@pytest.mark.anyio
async def test_photos_of_64_megapixels_in_a_loop_fail_no_other_and_stay_within_the_budget(limited):
    large = encoded(8000, 8000, "WEBP", quality=10, method=0)
    assert len(large) < MIB
    statuses: list[int] = []
    numbers = itertools.count()
    base = limited.memory()

    async def send_large(client: httpx.AsyncClient) -> None:
        while True:
            # Decoders stop at the end of the picture; equal files would be decoded once for all who sent them.
            photo = large + next(numbers).to_bytes(4)
            response = await client.post("/v1/search", files={"image": ("p", photo)})
            statuses.append(response.status_code)
            if response.status_code == 503:
                await asyncio.sleep(0.05)

    async with httpx.AsyncClient(base_url=limited.url, timeout=PATIENCE) as client, asyncio.timeout(PATIENCE):
        attacks = [asyncio.create_task(send_large(client)) for _ in range(6)]
        answers = []
        while len(answers) < 16 or not {200, 504} & {*statuses}:
            photos = [picture(8 * len(answers) + number) for number in range(6)]
            photos += [encoded(300, 300, "PNG"), encoded(2500, 2500, "JPEG")]
            searches = [client.post("/v1/search", files={"image": ("p", photo)}) for photo in photos]
            answers += await asyncio.gather(*searches)
        for attack in attacks:
            attack.cancel()
        await asyncio.wait(attacks)
    assert {response.status_code for response in answers} == {200}
    assert {response.json()["rung"] for response in answers} == {"search"}
    assert set(statuses) <= {200, 503, 504}
    # The budget of docs/serving.md: 512 MiB for one large photo, 64 MiB for each thread that decodes.
    assert limited.memory(peak=True) - base < (512 + 2 * 64 + 2 * 32) * MIB
    assert limited.client.get("/readyz").status_code == 200


def test_odd_sizes_are_decoded(client):
    pixels = np.zeros((1, 20_000, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert client.post("/v1/search", files={"image": ("p", buffer.getvalue())}).status_code == 200
