import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serve.edge.body_limit import BodyLimit
from serve.errors import Problem
from serve.metrics import Metrics
from tests.serve.running import PATIENCE, connection, metric, read_response, running, until
from tests.serve.small_bundle import Shop, picture

MIB = 1024 * 1024
LIMIT = 200_000
TOKEN = "a token of the tests"
WRITER = {"Authorization": f"Bearer {TOKEN}"}
PART = b'--a\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
END = b"\r\n--a--\r\n"
FORM = {"content-type": "multipart/form-data; boundary=a"}


@pytest.fixture(scope="module")
def service(shop: Shop) -> Iterator[str]:
    """A process with small limits: what matters here happens on real connections."""
    limits = ["--max-upload-mib", str(LIMIT / 2**20), "--max-in-flight", "2"]
    with running(["--bundle", str(shop.root), *limits]) as started:
        yield started.url
        assert started.stop()[0] == 0


def head(length: int, *, more: str = "") -> bytes:
    return (
        f"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['content-type']}\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


def endless(chunks: int) -> Iterator[bytes]:
    yield PART
    for _ in range(chunks):
        yield bytes(65536)


@pytest.mark.parametrize("size", [LIMIT + 1, 6 * LIMIT])
def test_announced_length_over_the_limit_is_413(service, size):
    response = httpx.post(f"{service}/v1/search", content=bytes(size), headers=FORM)
    assert response.status_code == 413
    assert f"{size:,} bytes; at most {LIMIT:,} are taken" in response.json()["detail"]


def test_announced_length_is_refused_before_the_body_is_sent(service):
    with connection(service) as opened:
        opened.sendall(head(10**12))
        assert read_response(opened).status_code == 413


def test_client_that_asks_first_is_not_invited_to_send(service):
    with connection(service) as opened:
        opened.sendall(head(10**9, more="Expect: 100-continue\r\n"))
        assert read_response(opened).status_code == 413


def test_answer_reaches_a_client_that_sends_all_before_it_reads(service):
    """On a connection that is closed at once, the reset would take the answer with it."""
    body = bytes(2 * LIMIT)
    for _ in range(5):
        with connection(service) as opened:
            opened.sendall(head(len(body), more="Connection: close\r\n"))
            until(lambda opened=opened: bool(opened.recv(1, socket.MSG_PEEK)))
            for place in range(0, len(body), 50_000):
                opened.sendall(body[place : place + 50_000])
                time.sleep(0.002)
            assert read_response(opened).status_code == 413


def test_body_without_a_length_is_cut_off_at_the_limit(service):
    response = httpx.post(f"{service}/v1/search", content=endless(5), headers=FORM)
    assert response.status_code == 413
    assert f"over {LIMIT:,}" in response.json()["detail"]
    assert response.headers["x-request-id"] == response.json()["request_id"]


def test_body_within_the_limit_passes_without_a_length(service):
    form = httpx.Request("POST", service, files={"image": ("p", picture(1))})
    body = form.read()
    pieces = (body[place : place + 500] for place in range(0, len(body), 500))
    headers = {"content-type": form.headers["content-type"]}
    assert httpx.post(f"{service}/v1/search", content=pieces, headers=headers).status_code == 200


