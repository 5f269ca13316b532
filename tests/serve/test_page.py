import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.serve.running import running
from tests.serve.small_bundle import Shop, picture

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no chromium: the tests of the page in a browser are left out; `apt-get install chromium` brings it",
)

ARGUMENTS = [
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
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """What a page did beside what it shows."""

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
        expect(page.locator("#examples button")).to_have_count(12)
        yield page, watched
        assert all(asked.startswith((url, f"blob:{url}")) for asked in watched.requests), watched.requests


def upload(page: Page, data: bytes, name: str = "photo.jpg") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": data})


def shown(page: Page, part: str) -> list[str]:
    return page.locator(f"#grid .{part}").all_inner_texts()


def test_photo_gives_items_with_score_category_price_and_picture(opened, shop):
    page, watched = opened
    upload(page, shop.pictures[3])
    expect(page.locator(".card")).to_have_count(20)
    expect(page.locator("#count")).to_have_text("20 similar items")
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    row = shop.rows()[3]
    assert shown(page, "id")[0] == row["item_id"]
    scores = [float(text) for text in shown(page, "number")]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert any("shoes" in text for text in shown(page, "name"))
    assert any("<b onclick='x'>Nord" in text for text in shown(page, "name"))
    prices = {f"{entry['price']:.2f}" for entry in shop.rows() if entry["price"] is not None}
    assert {text for text in shown(page, "price") if text} <= prices
    assert {"In stock", "Sold out"} <= set(shown(page, "stock"))
    assert "decode" in page.locator("#timing").inner_text()
    page.wait_for_load_state("networkidle")
    loaded = "images => images.slice(0, 4).every(image => image.complete && image.naturalWidth === 96)"
    assert page.locator(".card img").evaluate_all(loaded)
    bar, track = (page.locator(f".card .{name}").nth(2).bounding_box() for name in ("bar", "track"))
    assert bar["width"] / track["width"] == pytest.approx(scores[2], abs=0.01)
    assert watched.errors == []


def test_click_on_a_result_goes_on_from_it_and_back(opened, shop):
    page, watched = opened
    upload(page, shop.pictures[3])
    expect(page.locator(".card")).to_have_count(20)
    before = shown(page, "id")
    page.locator(".card").nth(1).click()
    expect(page.locator("#query-name")).to_have_text(before[1])
    expect(page.locator(".trail [aria-current]")).to_have_text(before[1])
    expect(page.locator(".card").first).not_to_contain_text(before[0] + "\n")
    expect(page.locator("#grid")).not_to_contain_text(before[1])
    page.get_by_role("button", name="← Back").click()
    expect(page.locator("#query-name")).to_have_text("photo.jpg")
    expect(page.locator("#grid .id").first).to_have_text(before[0])
    assert shown(page, "id") == before
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#welcome")).to_be_visible()
    page.go_forward()
    expect(page.locator(".card")).to_have_count(20)
    assert watched.errors == []


def test_filters_are_applied_and_cleared(opened):
    page, watched = opened
    upload(page, picture(9))
    expect(page.locator(".card")).to_have_count(20)
    page.get_by_text("shoes", exact=True).first.click()
    expect(page.locator("#count")).to_have_text("12 similar items")
    assert all("shoes" in text for text in shown(page, "name"))
    page.get_by_label("In stock only").check()
    expect(page.locator(".stock.no")).to_have_count(0)
    page.get_by_label("Lowest price").fill("50")
    expect(page.locator("#filters-active")).to_have_text("3")
    page.wait_for_function("[...document.querySelectorAll('#grid .price')].every(p => Number(p.textContent) >= 50)")
    page.get_by_label("Lowest price").fill("9999")
    expect(page.get_by_role("heading", name="No item passes these filters")).to_be_visible()
    page.locator("#nothing-clear").click()
    expect(page.locator(".card")).to_have_count(20)
    expect(page.locator("#filters-active")).to_be_hidden()
    assert watched.errors == []


def test_prices_the_wrong_way_round_are_told_in_words(opened):
    page, _ = opened
    upload(page, picture(9))
    expect(page.locator(".card")).to_have_count(20)
    page.get_by_label("Lowest price").fill("50")
    page.get_by_label("Highest price").fill("10")
    expect(page.get_by_role("alert")).to_contain_text("is above price_max=10")


def test_broken_file_is_told_in_words_and_the_next_one_works(opened):
    page, watched = opened
    upload(page, picture(1)[:700], "broken.jpg")
    expect(page.get_by_role("alert")).to_contain_text("truncated or damaged")
    expect(page.locator(".card")).to_have_count(0)
    upload(page, b"<svg/>", "drawing.jpg")
    expect(page.get_by_role("alert")).to_contain_text("Not a JPEG, PNG, WebP")
    assert {error.split("(")[0] for error in watched.errors} <= {
        "Failed to load resource: the server responded with a status of 422 ",
        "Failed to load resource: the server responded with a status of 415 ",
    }
    upload(page, picture(1))
    expect(page.locator(".card")).to_have_count(20)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_page_is_used_with_the_keyboard_alone(opened):
    page, watched = opened
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the results")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    page.locator("#examples button").nth(4).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(20)
    expect(page.locator("#results")).to_be_focused()
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".trail [aria-current]")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("20 similar items")
    assert watched.errors == []


def test_dropped_and_pasted_photos_are_searched(opened, shop):
    page, watched = opened
    carry = """([name, bytes]) => {
        const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(bytes)], "carried.jpg", {type: "image/jpeg"}));
        const how = name === "drop" ? {dataTransfer: carried} : {clipboardData: carried};
        const Kind = name === "drop" ? DragEvent : ClipboardEvent;
        return document.body.dispatchEvent(new Kind(name, {...how, bubbles: true, cancelable: true}));
    }"""
    for name, number in (("drop", 0), ("paste", 1)):
        unhandled = page.evaluate(carry, [name, list(shop.pictures[number])])
        assert unhandled is (name == "paste")  # A drop that is left to the browser leaves the page for the photo.
        expect(page.locator("#grid .id").first).to_have_text(shop.rows()[number]["item_id"])
    assert watched.errors == []


def test_service_that_is_gone_is_told_in_words(browser, shop):
    with running(["--bundle", str(shop.root)]) as started, browser.new_context() as context:
        page = context.new_page()
        page.goto(started.url)
        expect(page.locator("#examples button")).to_have_count(12)
        assert started.stop()[0] == 0
        upload(page, picture(1))
        expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")


def test_page_fits_any_window_and_can_be_read_in_the_light_and_in_the_dark(opened):
    page, _ = opened
    upload(page, picture(1))
    expect(page.locator(".card")).to_have_count(20)
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    backs = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        backs.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        for selector in (".name", ".price", ".id", ".stock.no", ".timing", ".trail [aria-current]", ".served"):
            assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5, (scheme, selector)
    assert len(backs) == 2


CONTRAST = """node => {
    const light = color => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let behind = node;
    while (/^rgba\\(.*, 0\\)$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    const [a, b] = [getComputedStyle(node).color, getComputedStyle(behind).backgroundColor].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
"""WCAG 2's contrast of a text to what is behind it; 4.5 is the least for small text."""
