"""A page in Chromium over a service in a process of its own."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.search.small_bundle import Shop
from tests.serve.running import running

_CHROMIUM = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(
    _CHROMIUM is None, reason="Chromium is not installed: `apt-get install chromium`; tests of the page need it"
)

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def url(shop: Shop) -> Iterator[str]:
    with running(["--bundle", str(shop.root)]) as started:
        yield started.url
        assert started.stop()[0] == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """The errors in a page's console, and the URLs that it requested."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture
def opened(browser: Browser, url: str) -> Iterator[tuple[Page, Watched]]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        watched = Watched(page)
        page.goto(url)
        expect(page.locator("#examples button").first).to_be_visible()
        yield page, watched
        assert all(asked.startswith((url, f"blob:{url}")) for asked in watched.requests), watched.requests


def upload(page: Page, data: bytes, name: str = "photo.jpg") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": data})


def shown(page: Page, part: str) -> list[str]:
    return page.locator(f"#grid .{part}").all_inner_texts()
