"""The page behind a reverse proxy that strips a path prefix."""

import http.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.serve.browsing import Watched, browser, needs_chromium, shown, upload, url

__all__ = ["browser", "url"]

pytestmark = needs_chromium

PREFIX = "/shop/search"


class StrippingProxy(ThreadingHTTPServer):
    """Forwards what is below the prefix, without it, to the service; answers 404 to anything else."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}{PREFIX}/"
        self.outside: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: StrippingProxy

    def forward(self) -> None:
        if not self.path.startswith(f"{PREFIX}/"):
            self.server.outside.append(self.path)
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.server.target, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(self.command, self.path.removeprefix(PREFIX), body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_POST = forward  # noqa: N815, the base class names them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def proxy(url: str) -> Iterator[StrippingProxy]:
    with StrippingProxy(url) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send_thumbnails(page: Page, start: str) -> None:
    """Let the service's answers name thumbnails as `v1/images/ID` behind `start`."""

    def rewrite(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        for item in content.get("results", content.get("examples", [])):
            item["thumbnail"] = start + item["thumbnail"].lstrip("/")
        route.fulfill(response=answer, json=content)

    for path in ("v1/bundle", "v1/search", "v1/items/**"):
        page.route(f"**/{path}", rewrite)


def expect_pictures(page: Page, place: str) -> None:
    loaded = (
        "place => [...document.querySelectorAll(`${place} img`)].slice(0, 4).every(image => image.naturalWidth === 96)"
    )
    page.wait_for_function(loaded, arg=place)


@pytest.mark.parametrize("start", ["", "/"])
def test_page_works_behind_a_prefix(browser, proxy, shop, start):
    with browser.new_context() as context:
        page = context.new_page()
        watched = Watched(page)
        send_thumbnails(page, start)
        page.goto(proxy.url)
        expect(page.locator("#examples .card").first).to_be_visible()
        expect_pictures(page, "#examples")
        page.locator("#examples .card").first.click()
        expect(page.locator("#grid .card")).to_have_count(20)
        expect_pictures(page, "#grid")
        expect_pictures(page, "#stage")
        upload(page, shop.pictures[3])
        expect(page.locator("#grid .id").first).to_have_text(shop.rows()[3]["item_id"])
        page.get_by_role("button", name="Show more").click()
        expect(page.locator("#grid .card")).to_have_count(40)
        assert len(set(shown(page, "id"))) == 40
        page.get_by_role("button", name="← Back").click()
        expect(page.locator("#query-kind")).to_have_text("Item of the catalogue")
        expect(page.locator("#grid .card")).to_have_count(20)
    assert watched.errors == []
    assert proxy.outside == []
    used = {request.removeprefix(proxy.url).split("?")[0].split("/")[0] for request in watched.requests}
    assert {"static", "v1"} <= used
    assert all(request.startswith((proxy.url, "blob:")) for request in watched.requests), watched.requests
