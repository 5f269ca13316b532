import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from serve.edge.body_limit import BodyLimit
from serve.errors import Problem
from serve.metrics import Metrics
from tests.search.small_bundle import Shop, picture
from tests.serve.raw_http import END, FORM, PART, connection, form_head, head, read_response
from tests.serve.running import AUTHORIZED, Running, running, until
from tests.serve.samples import sample

MIB = 1024 * 1024
LIMIT = 200_000


@pytest.fixture(scope="module")
def limited(shop: Shop) -> Iterator[Running]:
    """A process with small limits."""
    limits = ["--max-upload-mib", str(LIMIT / MIB), "--max-in-flight", "2", "--upload-seconds", "2"]
    with running(["--bundle", str(shop.root), *limits]) as started:
        yield started
        assert started.stop()[0] == 0


def arriving(started: Running) -> float:
    return sample(started.client, "lookalike_upload_bytes")


def search(started: Running) -> httpx.Response:
    return started.client.post("/v1/search", files={"image": ("p", picture(1))})


def endless(chunks: int) -> Iterator[bytes]:
    yield PART
    for _ in range(chunks):
        yield bytes(65536)


@pytest.mark.parametrize("size", [LIMIT + 1, 6 * LIMIT])
def test_announced_length_over_the_limit_is_413(limited, size):
    response = limited.client.post("/v1/search", content=bytes(size), headers=FORM)
    assert response.status_code == 413
    assert f"{size:,} bytes; at most {LIMIT:,} are taken" in response.json()["detail"]
    assert response.headers["x-request-id"] == response.json()["request_id"]


def test_announced_length_is_refused_before_the_body_is_sent(limited):
    with connection(limited.url) as opened:
        opened.sendall(form_head(10**12))
        assert read_response(opened).status_code == 413


def test_client_that_asks_first_is_not_invited_to_send(limited):
    with connection(limited.url) as opened:
        opened.sendall(form_head(10**9, Expect="100-continue"))
        assert read_response(opened).status_code == 413


def test_client_that_asks_first_is_invited_to_send_what_is_taken(limited):
    body = PART + picture(1) + END
    with connection(limited.url) as opened:
        opened.sendall(form_head(len(body), Expect="100-continue"))
        assert opened.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        opened.sendall(body)
        assert read_response(opened).status_code == 200


def test_answer_reaches_a_client_that_sends_all_before_it_reads(limited):
    body = bytes(2 * LIMIT)
    for _ in range(5):
        with connection(limited.url) as opened:
            opened.sendall(form_head(len(body)))
            until(lambda opened=opened: bool(opened.recv(1, socket.MSG_PEEK)))
            with suppress(OSError):  # The service has closed the connection.
                for place in range(0, len(body), 50_000):
                    opened.sendall(body[place : place + 50_000])
                    time.sleep(0.002)
            assert read_response(opened).status_code == 413


def test_body_without_a_length_is_cut_off_at_the_limit(limited):
    response = limited.client.post("/v1/search", content=endless(5), headers=FORM)
    assert response.status_code == 413
    assert f"over {LIMIT:,}" in response.json()["detail"]
    assert response.headers["x-request-id"] == response.json()["request_id"]
    # Else a client that keeps connections would lose its next request.
    assert response.headers["connection"] == "close"


def test_body_within_the_limit_passes_without_a_length(limited):
    body = PART + picture(1) + END
    pieces = (body[place : place + 500] for place in range(0, len(body), 500))
    assert limited.client.post("/v1/search", content=pieces, headers=FORM).status_code == 200


def test_bodies_that_do_not_arrive_hold_no_place(limited):
    body = PART + picture(1) + END
    with ExitStack() as stack:
        slow = [stack.enter_context(connection(limited.url)) for _ in range(20)]
        for opened in slow:
            opened.sendall(form_head(len(body)) + body[:100])
        until(lambda: arriving(limited) == 20 * 100)
        assert search(limited).status_code == 200
        assert limited.client.get("/v1/items/sku%2F002%20ö/similar").status_code == 200
        slow[0].sendall(body[100:])
        assert read_response(slow[0]).status_code == 200
    until(lambda: arriving(limited) == 0)
    assert sample(limited.client, "lookalike_searches_in_flight") == 0


def test_client_that_leaves_gives_its_bytes_back(limited):
    def gone() -> float:
        return sample(limited.client, "lookalike_requests_total", endpoint="/v1/search", status="499")

    before = gone()
    for number in range(1, 6):  # More than there are places.
        with connection(limited.url) as opened:
            opened.sendall(form_head(1000) + PART)
            until(lambda: arriving(limited) == len(PART))
        until(lambda number=number: gone() == before + number)
        assert arriving(limited) == 0


def test_body_that_does_not_arrive_is_408(limited):
    with connection(limited.url) as opened:
        opened.sendall(form_head(1000) + PART)
        response = read_response(opened)
    assert response.status_code == 408
    assert response.headers["connection"] == "close"
    assert "within 2 seconds" in response.json()["detail"]
    assert arriving(limited) == 0


def test_uploads_that_are_only_announced_refuse_no_search(service):
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(connection(service.url)).sendall(form_head(20 * MIB) + PART)
        until(lambda: arriving(service) >= 64 * len(PART))
        for _ in range(3):
            assert search(service).status_code == 200
    until(lambda: arriving(service) == 0)


@pytest.mark.parametrize("count", [8, 20])
@pytest.mark.parametrize("path", ["/livez", "/v1/items/x"])
def test_bodies_of_strangers_keep_no_change_out(service, path, count):
    """Without the token, with a body that is announced and does not come."""
    with ExitStack() as stack:
        for _ in range(count):
            opened = stack.enter_context(connection(service.url))
            opened.sendall(head("PUT", path, Content_Length=100_000, Content_Type=FORM["Content-Type"]))
            assert read_response(opened).status_code == (405 if path == "/livez" else 401)
        name = f"/v1/items/stranger-{count}"
        photo = {"image": ("p", picture(2))}
        for answer in (
            service.client.put(name, files=photo, headers=AUTHORIZED),
            service.client.patch(name, json={"price": 1}, headers=AUTHORIZED),
            service.client.delete(name, headers=AUTHORIZED),
        ):
            assert answer.status_code == 200, answer.text


def test_connection_is_used_again_after_what_was_read_to_its_end(service):
    for response in (search(service), service.client.get("/livez"), service.client.get("/nothing")):
        assert "connection" not in response.headers


class Bodies:
    """The middleware before an application that reads the body, without a server."""

    def __init__(self, *, max_bytes: int = 1000, seconds: float = 60.0, budget: int = 10_000) -> None:
        self.metrics = Metrics()
        self.read = 0
        self.middleware = BodyLimit(self._app, max_bytes=max_bytes, seconds=seconds, metrics=self.metrics)
        self.middleware._budget = budget

    @property
    def arriving(self) -> int:
        return int(self.metrics.upload_bytes._value.get())

    async def send(self, receive: Receive, *, length: str | None = None) -> int:
        """The status of the answer, or the exception that the route has."""
        headers = [] if length is None else [(b"content-length", length.encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "state": {"request_id": "x"}}
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self.middleware(scope, receive, keep)
        return int(sent[0]["status"])

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.read = len(await Request(scope, receive).body())
        response: Response = PlainTextResponse("done")
        await response(scope, receive, send)


def pieces(*sizes: int) -> Receive:
    left = list(sizes)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        size = left.pop(0)
        return {"type": "http.request", "body": bytes(size), "more_body": bool(left)}

    return receive


@pytest.mark.anyio
async def test_largest_body_passes_and_its_bytes_are_given_back():
    bodies = Bodies(max_bytes=1000)
    assert await bodies.send(pieces(600, 0, 400), length="1000") == 200
    assert (bodies.read, bodies.arriving) == (1000, 0)
    with pytest.raises(Problem) as caught:
        await bodies.send(pieces(600, 401))
    assert (caught.value.status, bodies.arriving) == (413, 0)


@pytest.mark.anyio
async def test_bodies_that_arrive_at_once_are_bounded_in_bytes():
    bodies = Bodies(max_bytes=1000, budget=1500)
    go = asyncio.Event()

    async def slow() -> Message:
        if bodies.arriving:
            await go.wait()
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": bytes(1000), "more_body": True}

    first = asyncio.create_task(bodies.send(slow))
    while not bodies.arriving:
        await asyncio.sleep(0)
    assert await bodies.send(pieces(500)) == 200
    with pytest.raises(Problem) as caught:
        await bodies.send(pieces(501))
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    assert bodies.arriving == 1000
    go.set()
    assert await first == 200
    assert bodies.arriving == 0


@pytest.mark.anyio
async def test_time_is_that_of_the_whole_body():
    """A byte now and then does not extend it."""

    async def drip() -> Message:
        await asyncio.sleep(0.005)
        return {"type": "http.request", "body": b"x", "more_body": True}

    bodies = Bodies(seconds=0.05)
    with pytest.raises(Problem, match=r"within 0\.05 seconds") as caught:
        await bodies.send(drip)
    assert (caught.value.status, bodies.arriving) == (408, 0)


@pytest.mark.anyio
async def test_client_that_leaves_in_mid_body_leaves_nothing_behind():
    messages = iter([{"type": "http.request", "body": bytes(100), "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(messages)

    bodies = Bodies()
    with pytest.raises(ClientDisconnect):
        await bodies.send(receive)
    assert bodies.arriving == 0


@pytest.mark.anyio
async def test_refusal_by_the_head_is_a_problem_and_reads_nothing():
    bodies = Bodies(max_bytes=1000)
    assert await bodies.send(pieces(5), length="1001") == 413
    assert await bodies.send(pieces(5), length="9" * 400) == 413
    assert bodies.read == 0


@pytest.mark.anyio
async def test_what_is_no_request_passes():
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    await BodyLimit(app, max_bytes=1, seconds=1, metrics=Metrics())({"type": "lifespan"}, pieces(), pieces())
    assert passed == ["lifespan"]
