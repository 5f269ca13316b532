import asyncio
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serve.edge.admission import Admission
from serve.edge.request_context import RequestContext
from serve.edge.service_rate import ServiceRate
from serve.errors import Problem, problem_response
from serve.observe.metrics import Metrics


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_batch_has_as_many_places_as_images_and_gives_them_back():
    go = asyncio.Event()

    async def batch(request: Request) -> Response:
        try:
            request.scope["state"]["take_places"](int(request.query_params["images"]) - 1)
        except Problem as problem:
            return problem_response(problem, request.scope)
        await go.wait()
        return PlainTextResponse("done")

    metrics = Metrics()
    app = RequestContext(
        Admission(
            Starlette(routes=[Route("/v1/search/batch", batch, methods=["POST"])]),
            limit=4,
            standing=4,
            max_body=1000,
            metrics=metrics,
        ),
        metrics=metrics,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        first = asyncio.create_task(client.post("/v1/search/batch?images=3"))
        while metrics.in_flight._value.get() < 3:
            await asyncio.sleep(0)
        refused = await client.post("/v1/search/batch?images=2")
        assert refused.status_code == 503
        assert "4 searches are in flight, at most 4 may be" in refused.json()["detail"]
        second = asyncio.create_task(client.post("/v1/search/batch?images=1"))
        while metrics.in_flight._value.get() < 4:
            await asyncio.sleep(0)
        at_the_door = await client.post("/v1/search/batch?images=1")
        assert at_the_door.status_code == 503
        assert int(at_the_door.headers["retry-after"]) >= 1
        go.set()
        assert [(await task).status_code for task in (first, second)] == [200, 200]
        assert metrics.in_flight._value.get() == 0
        assert (await client.post("/v1/search/batch?images=4")).status_code == 200


@pytest.mark.anyio
async def test_more_searches_than_the_limit_are_503_before_their_body_is_read_until_one_ends():
    go = asyncio.Event()

    async def search(request: Request) -> Response:
        await request.body()
        await go.wait()
        return PlainTextResponse("done")

    async def body():
        sent.append(True)
        yield b"photo"

    sent: list[bool] = []
    metrics = Metrics()
    routes = [
        Route("/v1/search", search, methods=["POST"]),
        Route("/livez", lambda request: PlainTextResponse("alive")),
        Route("/v1/items/{item_id}/similar", lambda request: PlainTextResponse("found")),
    ]
    app = RequestContext(
        Admission(Starlette(routes=routes), limit=2, standing=2, max_body=1000, metrics=metrics), metrics=metrics
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        first = [asyncio.create_task(client.post("/v1/search", content=b"photo")) for _ in range(2)]
        while metrics.in_flight._value.get() < 2:
            await asyncio.sleep(0)
        for refused in (await client.post("/v1/search", content=body()), await client.get("/v1/items/1/similar")):
            assert refused.status_code == 503
            assert 1 <= int(refused.headers["retry-after"]) <= 30
            assert refused.headers["content-type"] == "application/problem+json"
            assert "2 searches are in flight" in refused.json()["detail"]
        assert not sent
        assert metrics.rejected._value.get() == 2
        assert (await client.get("/livez")).status_code == 200
        go.set()
        assert [(await task).status_code for task in first] == [200, 200]
        assert metrics.in_flight._value.get() == 0
        assert (await client.post("/v1/search", content=body())).status_code == 200
        assert sent


@pytest.mark.anyio
async def test_a_burst_has_all_places_and_a_load_that_stands_only_some():
    ends: list[asyncio.Event] = []

    async def search(request: Request) -> Response:
        end = asyncio.Event()
        ends.append(end)
        await end.wait()
        return PlainTextResponse("done")

    metrics = Metrics()
    routes = [Route("/v1/search/text", search)]
    admission = Admission(Starlette(routes=routes), limit=4, standing=2, max_body=1000, metrics=metrics)
    app = RequestContext(admission, metrics=metrics)

    async def asked(count: int) -> list[asyncio.Task[httpx.Response]]:
        before = len(ends)
        tasks = [asyncio.create_task(client.get("/v1/search/text")) for _ in range(count)]
        while len(ends) < before + count:
            await asyncio.sleep(0)
        return tasks

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        tasks = await asked(4)
        while not admission._load.stands(time.monotonic()):
            await asyncio.sleep(0.005)
        ends[0].set()
        ends[1].set()
        await asyncio.wait(tasks[:2])
        refused = await client.get("/v1/search/text")
        assert refused.status_code == 503
        assert "2 searches are in flight, at most 2 may be" in refused.json()["detail"]
        for end in ends:
            end.set()
        assert [(await task).status_code for task in tasks] == [200] * 4
        while admission._load.stands(time.monotonic()):
            await asyncio.sleep(0.005)
        tasks = await asked(4)
        for end in ends:
            end.set()
        assert [(await task).status_code for task in tasks] == [200] * 4


def test_time_to_wait_is_that_of_the_rate():
    rate = ServiceRate()
    assert rate.seconds_for(32, 0.0) == 1
    for number in range(200):
        rate.ended(number / 10)  # 10 a second
    assert rate.seconds_for(40, 20.0) == 4
    assert rate.seconds_for(5, 20.0) == 1
    assert rate.seconds_for(40, 200.0) == 30, "nothing has ended for long, and 30 seconds are the most"


def test_batch_counts_as_its_places():
    one, many = ServiceRate(), ServiceRate()
    for number in range(10):
        one.ended(float(number))
        many.ended(float(number), places=4)
    assert many.seconds_for(40, 10.0) == one.seconds_for(10, 10.0) == 10
