"""Errors as callers get them, whichever route answers."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serve.edge.context import RequestContext
from serve.errors import Problem, install_handlers, overloaded
from serve.metrics import Metrics
from src.contracts.errors import FilterError
from src.contracts.image_errors import CorruptImageError, ImageTooLargeError, UnsupportedImageError
from tests.serve.problems import check_problem

RAISED = [
    (Problem(409, kind="busy-now", detail="x"), 409, "urn:lookalike:problem:busy-now", "Busy now"),
    (Problem(404, detail="x"), 404, "about:blank", "Not Found"),
    (overloaded("x"), 503, "urn:lookalike:problem:overloaded", "Overloaded"),
    (ImageTooLargeError("x"), 413, "urn:lookalike:problem:image-too-large", "Image too large"),
    (UnsupportedImageError("x"), 415, "urn:lookalike:problem:unsupported-image", "Unsupported image"),
    (CorruptImageError("x"), 422, "urn:lookalike:problem:corrupt-image", "Corrupt image"),
    (FilterError("x"), 422, "urn:lookalike:problem:invalid-parameters", "Invalid parameters"),
]


@pytest.mark.parametrize(("error", "status", "kind", "title"), RAISED)
def test_exception_of_a_route_is_sent_as_its_problem(error, status, kind, title):
    app = FastAPI()
    install_handlers(app)
    app.add_middleware(RequestContext, metrics=Metrics())

    @app.get("/")
    async def fails() -> None:
        raise error

    response = TestClient(app).get("/")
    assert check_problem(response, status).startswith("x")
    assert (response.json()["type"], response.json()["title"]) == (kind, title)


def test_refusal_for_load_says_when_to_try_again():
    for seconds, words in ((1, "try again in 1 second"), (7, "try again in 7 seconds")):
        problem = overloaded("too much", seconds=seconds)
        assert problem.headers["Retry-After"] == str(seconds)
        assert problem.detail == f"too much; {words}"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/search"), ("DELETE", "/v1/bundle"), ("POST", "/"), ("PUT", "/v1/images/x")]
)
def test_wrong_method_is_405_and_says_which_is_right(client, method, path):
    response = client.request(method, path)
    assert response.headers["allow"] in check_problem(response, 405)


@pytest.mark.parametrize("path", ["/v1/serach", "/v1/search/", "/static/../settings.py", "/static/page.html", "/%00"])
def test_unknown_path_is_404(client, path):
    assert "/openapi.json lists what there is" in check_problem(client.get(path), 404)


def test_many_problems_are_told_in_few_words(client):
    fields = {f"unknown-{number}" * 20: 1 for number in range(1000)}
    told = check_problem(client.post("/v1/search", json={"image": "AAAA", **fields}), 422)
    assert told.endswith("and 990 more")
    assert len(told) < 1500


def test_openapi_lists_the_problems_of_each_route(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/readyz":
                    assert "application/problem+json" in answer["content"], (path, status)
