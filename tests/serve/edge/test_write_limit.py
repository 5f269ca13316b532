import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serve.edge.request_context import RequestContext
from serve.edge.write_limit import WriteLimit
from serve.observe.metrics import Metrics

pytestmark = pytest.mark.anyio


async def test_changes_beyond_the_limit_are_refused_until_one_ends_and_searches_are_not():
    entered, go = [], asyncio.Event()

    async def item(request) -> Response:
        if request.method != "GET":
            entered.append(request.method)
            await go.wait()
        return PlainTextResponse("done")

    metrics = Metrics()
    routes = [Route("/v1/items/x", item, methods=["GET", "PUT", "PATCH", "DELETE"])]
    app = RequestContext(WriteLimit(Starlette(routes=routes), metrics=metrics), metrics=metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        first = [asyncio.create_task(client.request(("PUT", "PATCH")[n % 2], "/v1/items/x")) for n in range(8)]
        while len(entered) < 8:
            await asyncio.sleep(0)
        refused = await client.delete("/v1/items/x")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await client.get("/v1/items/x")).status_code == 200
        go.set()
        assert {(await task).status_code for task in first} == {200}
        assert (await client.delete("/v1/items/x")).status_code == 200
