"""The application as a whole: path prefix, HEAD, and what only a real server shows."""

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient

from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.errors import BundleError
from tests.search.small_bundle import Shop, picture
from tests.serve.raw_http import connection, head, read_response
from tests.serve.running import AUTHORIZED

PREFIX = "/shop/search"


@pytest.fixture(scope="module")
def behind_proxy(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop.root, ServeSettings(root_path=PREFIX)), root_path=PREFIX) as client:
        yield client


def test_paths_in_answers_have_the_prefix_that_a_proxy_strips(behind_proxy, shop):
    photo = {"image": ("p", shop.pictures[0])}
    answers = [
        behind_proxy.post("/v1/search", files=photo).json()["results"],
        behind_proxy.get("/v1/items/sku%2F002%20ö/similar").json()["results"],
        behind_proxy.get("/v1/search/text?q=acme").json()["results"],
        behind_proxy.get("/v1/bundle").json()["examples"],
    ]
    for rows in answers:
        assert rows
        for row in rows:
            assert row["thumbnail"] == f"{PREFIX}/v1/images/" + quote(row["image_id"], safe="")
    stripped = answers[0][0]["thumbnail"].removeprefix(PREFIX)
    assert behind_proxy.get(stripped).content == shop.pictures[0]
    assert behind_proxy.get("/openapi.json").json()["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/static/page.js"])
def test_head_is_get_without_the_body(service, path):
    answers = [service.client.request(method, path) for method in ("GET", "HEAD")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].content == b""
    assert answers[0].headers["content-type"] == answers[1].headers["content-type"]


def test_head_leaves_the_connection_usable(service):
    with connection(service.url) as opened:
        opened.sendall(head("HEAD", "/readyz"))
        assert opened.recv(65536).startswith(b"HTTP/1.1 200")
        opened.sendall(head("GET", "/livez"))
        assert read_response(opened).json() == {"status": "alive"}


@pytest.mark.parametrize("item_id", ["new", "a/b", "a%2Fb", "50%", "ö & ü?", "sku#1", "a+b", "x;y=z", "日本"])
def test_item_ids_keep_every_character_on_their_way(service, item_id):
    path = f"/v1/items/{quote(item_id, safe='')}"
    photo = picture(77_000 + len(item_id.encode()))
    changed = service.client.put(path, files={"image": ("p", photo)}, headers=AUTHORIZED)
    assert changed.status_code == 200, changed.text
    assert changed.json()["item_id"] == item_id
    results = service.client.post("/v1/search", files={"image": ("p", photo)}).json()["results"]
    (row,) = [row for row in results if row["item_id"] == item_id]
    assert service.client.get(row["thumbnail"]).headers["content-type"] == "image/jpeg"
    similar = service.client.get(f"{path}/similar").json()["results"]
    assert item_id not in {row["item_id"] for row in similar}
    assert service.client.delete(path, headers=AUTHORIZED).status_code == 200


@pytest.mark.parametrize("path", ["%0A", "a%0A", "a%0D", "a%E2%80%A8b", "a%00b", "%2E%2E", "a%2F%2E%2E%2Fb", "a%2F%2E"])
def test_item_ids_that_cannot_be_named_are_422(service, path):
    """On a plain socket: clients resolve dots and drop line breaks."""
    with connection(service.url) as opened:
        token = {"Authorization": AUTHORIZED["Authorization"]}
        opened.sendall(head("DELETE", f"/v1/items/{path}", **token))
        response = read_response(opened)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/items/%ED%A0%80/similar", "/v1/images/%FF%FE", "/v1/items/%C3%28/similar"])
def test_path_that_is_not_utf_8_is_an_error_of_the_caller(service, path):
    with connection(service.url) as opened:
        opened.sendall(head("GET", path))
        assert 400 <= read_response(opened).status_code < 500
    assert service.client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.0\r\n\r\n",
        b"BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET /livez\r\n",
        bytes(range(256)),
    ],
)
def test_odd_requests_never_harm_the_service(service, request_):
    with connection(service.url) as opened:
        opened.sendall(request_)
        opened.settimeout(0.2)
        try:
            answer = opened.recv(65536)
        except (TimeoutError, ConnectionError):
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 5")
    assert httpx.get(f"{service.url}/livez", timeout=5).status_code == 200


def test_bundle_that_cannot_be_opened_is_told_to_who_asked(tmp_path):
    told: list[object] = []
    ready: list[object] = []
    app = create_app(tmp_path, on_refusal=told.append, on_ready=lambda: ready.append(True))
    with pytest.raises(BundleError), TestClient(app):
        pass
    assert isinstance(told[0], BundleError)
    assert ready == []


def test_application_says_when_it_answers(shop):
    ready: list[object] = []
    with TestClient(create_app(shop.root, on_ready=lambda: ready.append(True))):
        assert ready == [True]
