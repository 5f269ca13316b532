from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.testclient import TestClient

from serve.edge.direct import Direct
from serve.edge.request_context import RequestContext
from serve.errors import Problem, install_handlers
from serve.observe.metrics import Metrics
from src.contracts.preprocessing import CorruptImageError


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    install_handlers(app)

    @app.post("/plain", response_class=Response)
    async def plain(request: Request) -> Response:
        if request.query_params.get("fails") == "problem":
            raise Problem(409, kind="taken", detail="it is taken", headers={"Retry-After": "3"})
        if request.query_params.get("fails") == "image":
            raise CorruptImageError("no picture")
        return Response(await request.body())

    @app.get("/with/{name}", response_class=Response)
    async def with_name(request: Request, name: str) -> Response:
        return Response(name)

    @app.get("/converted")
    async def converted(request: Request) -> dict[str, str]:
        return {"name": "converted"}

    metrics = Metrics()
    app.add_middleware(Direct, routes=app.router.routes)
    app.add_middleware(RequestContext, metrics=metrics)
    with TestClient(app) as made:
        made.metrics = metrics
        yield made


def test_answers_and_problems_are_those_of_the_long_way(client):
    assert client.post("/plain", content=b"body").content == b"body"
    taken = client.post("/plain?fails=problem")
    assert (taken.status_code, taken.headers["retry-after"]) == (409, "3")
    assert taken.json()["detail"] == "it is taken"
    assert client.post("/plain?fails=image").status_code == 422
    assert 'lookalike_requests_total{endpoint="/plain",status="409"} 1.0' in client.metrics.exposition().decode()


def test_what_it_does_not_know_goes_the_long_way(client):
    assert client.get("/with/anna").text == "anna"
    assert client.get("/converted").json() == {"name": "converted"}
    wrong = client.get("/plain")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert client.get("/nowhere").status_code == 404


def test_only_plain_routes_are_taken(client):
    async def none(*_: object) -> None:
        raise AssertionError

    taken = Direct(none, routes=client.app.router.routes)._routes
    assert set(taken) == {("POST", "/plain")}
