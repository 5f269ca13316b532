import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.running import PATIENCE, running
from tests.serve.small_bundle import Shop, picture

LIMIT = 200_000
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


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as opened:
        yield opened


def head(length: int, *, more: str = "") -> bytes:
    return (
        f"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['content-type']}\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


def read_response(opened: socket.socket) -> httpx.Response:
    """The one response, read as slowly as it comes."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += opened.recv(65536) or pytest.fail(f"closed after {data!r}")
    first, _, body = data.partition(b"\r\n\r\n")
    lines = first.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    while len(body) < int(headers["content-length"]):
        body += opened.recv(65536) or pytest.fail(f"closed after {body!r}")
    return httpx.Response(int(lines[0].split()[1]), headers=headers, content=body)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def metric(url: str, line: str) -> float:
    found = [row for row in httpx.get(f"{url}/metrics").text.splitlines() if row.startswith(line + " ")]
    return float(found[0].split()[-1]) if found else 0.0


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


def test_bodies_that_do_not_arrive_keep_nobody_out(service):
    body = PART + picture(1) + END
    with ExitStack() as stack:
        slow = [stack.enter_context(connection(service)) for _ in range(20)]
        for opened in slow:
            opened.sendall(head(len(body)) + body[:100])
        until(lambda: metric(service, "lookalike_uploads") == 20)
        assert httpx.post(f"{service}/v1/search", files={"image": ("p", picture(1))}).status_code == 200
        assert httpx.get(f"{service}/v1/items/sku%2F002%20ö/similar").status_code == 200
        slow[0].sendall(body[100:])
        assert read_response(slow[0]).status_code == 200
    until(lambda: metric(service, "lookalike_uploads") == 0)
    assert metric(service, "lookalike_searches_in_flight") == 0


def test_bodies_that_arrive_are_bounded_in_bytes(service):
    refused = metric(service, "lookalike_rejected_total")
    with connection(service) as first, connection(service) as second:
        for opened in (first, second):
            opened.sendall(head(LIMIT) + PART)
        until(lambda: metric(service, "lookalike_uploads") == 2)
        third = httpx.post(f"{service}/v1/search", files={"image": ("p", picture(1))})
        assert third.status_code == 503
        assert f"photos of {2 * LIMIT:,} bytes are arriving" in third.json()["detail"]
        assert httpx.get(f"{service}/v1/items/sku%2F002%20ö/similar").status_code == 200
    until(lambda: metric(service, "lookalike_uploads") == 0)
    assert metric(service, "lookalike_rejected_total") == refused + 1
    assert httpx.post(f"{service}/v1/search", files={"image": ("p", picture(1))}).status_code == 200


def test_bodies_that_arrive_are_bounded_in_number(service):
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(connection(service)).sendall(head(1000) + PART)
        until(lambda: metric(service, "lookalike_uploads") == 64)
        late = httpx.post(f"{service}/v1/search", files={"image": ("p", picture(1))})
        assert late.status_code == 503
        assert "64 photos are arriving" in late.json()["detail"]
        for path in ("/livez", "/readyz", "/", "/v1/bundle"):
            assert httpx.get(service + path).status_code == 200
    until(lambda: metric(service, "lookalike_uploads") == 0)


def test_client_that_leaves_gives_its_place_back(service):
    gone = 'lookalike_requests_total{endpoint="/v1/search",status="499"}'
    before = metric(service, gone)
    for _ in range(5):  # More than there are places.
        with connection(service) as opened:
            opened.sendall(head(1000) + PART)
            until(lambda: metric(service, "lookalike_uploads") >= 1)
        until(lambda: metric(service, "lookalike_uploads") == 0)
    assert metric(service, gone) == before + 5


def test_upload_that_does_not_arrive_is_408(shop):
    with running(["--bundle", str(shop.root), "--upload-seconds", "0.3"]) as started:
        with connection(started.url) as opened:
            opened.sendall(head(1000) + PART)
            response = read_response(opened)
        assert response.status_code == 408
        assert "within 0.3 seconds" in response.json()["detail"]
