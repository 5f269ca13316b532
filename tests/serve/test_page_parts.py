"""The frame over the photo, further results and answers that compare no pictures."""

import io

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.search.small_bundle import picture
from tests.serve.browsing import browser, needs_chromium, opened, shown, upload, url

__all__ = ["browser", "opened", "url"]

pytestmark = needs_chromium


def two_things(left: bytes, right: bytes) -> bytes:
    """A wide photo of two things."""
    canvas = Image.new("RGB", (400, 200))
    for place, data in enumerate((left, right)):
        canvas.paste(Image.open(io.BytesIO(data)).resize((200, 200)), (200 * place, 0))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def box_of(page: Page) -> list[float]:
    values = "node => ['--x', '--y', '--w', '--h'].map(name => Number(node.style.getPropertyValue(name)))"
    return page.locator("#crop").evaluate(values)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def first(page: Page, item_id: str) -> None:
    expect(page.locator("#grid .id").first).to_have_text(item_id)


def test_frame_is_moved_and_resized_with_the_mouse_and_its_part_is_searched(opened, shop):
    page, watched = opened
    upload(page, two_things(shop.pictures[3], shop.pictures[40]))
    expect(page.locator("#grid .card")).to_have_count(20)
    expect(page.locator("#crop")).to_be_hidden()
    page.get_by_text("My selection").click()
    expect(page.locator("#crop")).to_be_visible()
    assert box_of(page) == [0.15, 0.15, 0.7, 0.7]
    stage = page.locator("#stage").bounding_box()
    at = lambda x, y: (stage["x"] + x * stage["width"], stage["y"] + y * stage["height"])  # noqa: E731
    drag(page, at(0.15, 0.15), at(0.5, -0.2))  # Beyond the edge: it stops there.
    drag(page, at(0.85, 0.85), at(1.3, 1.2))
    assert box_of(page) == pytest.approx([0.5, 0, 0.5, 1], abs=0.02)
    first(page, shop.rows()[40]["item_id"])
    drag(page, at(0.75, 0.5), at(0.2, 0.5))
    assert box_of(page) == pytest.approx([0, 0, 0.5, 1], abs=0.02)
    first(page, shop.rows()[3]["item_id"])
    page.get_by_text("Whole photo").click()
    expect(page.locator("#crop")).to_be_hidden()
    assert watched.errors == []


def test_frame_is_moved_and_resized_with_the_keyboard(opened, shop):
    page, watched = opened
    upload(page, two_things(shop.pictures[3], shop.pictures[40]))
    expect(page.locator("#grid .card")).to_have_count(20)
    page.get_by_label("Whole photo").focus()
    page.keyboard.press("ArrowLeft")  # Radio buttons go round.
    expect(page.get_by_label("My selection")).to_be_checked()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#crop")).to_be_focused()
    for _ in range(10):
        page.keyboard.press("Shift+ArrowLeft")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert box_of(page) == [0.5, 0.15, 0.5, 0.7]
    expect(page.locator("#crop")).to_have_attribute(
        "aria-label", "Selected part: 50 % from the left, 15 % from the top, 50 % wide, 70 % high"
    )
    first(page, shop.rows()[40]["item_id"])
    assert watched.errors == []


def test_frame_is_moved_by_touch(browser, url, shop):
    with browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        page.goto(url)
        expect(page.get_by_text("Take a photo")).to_be_visible()
        assert page.locator("#camera").get_attribute("capture") == "environment"
        upload(page, two_things(shop.pictures[3], shop.pictures[40]))
        expect(page.locator("#grid .card")).to_have_count(20)
        page.get_by_text("My selection").tap()
        stage = page.locator("#stage").bounding_box()
        touch = context.new_cdp_session(page)
        y = stage["y"] + stage["height"] / 2
        for kind, x in (("touchStart", 0.5), ("touchMove", 0.6), ("touchMove", 0.9), ("touchEnd", None)):
            points = [] if x is None else [{"x": stage["x"] + x * stage["width"], "y": y}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert box_of(page) == pytest.approx([0.3, 0.15, 0.7, 0.7], abs=0.02)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_main_object_is_found_shown_and_can_be_changed(opened, shop):
    page, watched = opened
    canvas = Image.new("RGB", (400, 300), (235, 235, 235))
    canvas.paste(Image.open(io.BytesIO(shop.pictures[3])).resize((140, 140)), (220, 100))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=95)
    upload(page, buffer.getvalue())
    expect(page.locator("#grid .card")).to_have_count(20)
    page.get_by_text("Main object").click()
    expect(page.locator("#crop")).to_be_visible()
    x, y, w, h = box_of(page)
    assert x + w / 2 == pytest.approx(290 / 400, abs=0.1)
    assert y + h / 2 == pytest.approx(170 / 300, abs=0.1)
    page.locator("#crop").press("ArrowLeft")
    expect(page.get_by_label("My selection")).to_be_checked()
    expect(page.locator("#crop")).to_be_visible()
    assert box_of(page)[0] == pytest.approx(x - 0.02, abs=1e-3)
    assert watched.errors == []


def test_frame_comes_back_with_the_photo(opened, shop):
    page, _ = opened
    upload(page, two_things(shop.pictures[3], shop.pictures[40]))
    expect(page.locator("#grid .card")).to_have_count(20)
    with page.expect_response("**/v1/search"):
        page.get_by_text("My selection").click()
    with page.expect_response("**/v1/search"):
        page.locator("#crop").press("ArrowRight")
    page.locator("#grid .card").first.click()
    expect(page.locator("#part")).to_be_hidden()
    expect(page.locator("#crop")).to_be_hidden()
    page.get_by_role("button", name="← Back").click()
    expect(page.locator("#crop")).to_be_visible()
    assert box_of(page) == [0.17, 0.15, 0.7, 0.7]


def test_more_results_are_appended(opened, shop):
    page, watched = opened
    upload(page, shop.pictures[3])
    expect(page.locator("#grid .card")).to_have_count(20)
    before = shown(page, "id")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#grid .card")).to_have_count(40)
    assert shown(page, "id")[:20] == before
    assert len(set(shown(page, "id"))) == 40
    assert page.locator("#grid .rank").nth(20).inner_text() == "21"
    expect(page.locator("#grid .card").nth(20)).to_be_focused()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#grid .card")).to_have_count(60)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert watched.errors == []


def test_failed_show_more_keeps_the_results_and_can_be_repeated(opened, shop):
    page, _ = opened
    upload(page, shop.pictures[3])
    expect(page.locator("#grid .card")).to_have_count(20)
    page.route("**/v1/search", lambda route: route.abort())
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#more-error")).to_contain_text("The service cannot be reached")
    expect(page.locator("#grid .card")).to_have_count(20)
    page.unroute("**/v1/search")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#grid .card")).to_have_count(40)
    expect(page.locator("#more-error")).to_be_empty()


@pytest.mark.parametrize(("rung", "words"), [("trending", "popular items"), ("text", "chosen by words and filters")])
def test_fallback_answer_says_what_its_items_are(opened, rung, words):
    page, _ = opened

    def fall_back(route: Route) -> None:
        found = route.fetch().json()
        found["rung"] = rung
        for result in found["results"]:
            result["score"] = None
        route.fulfill(json=found)

    page.route("**/v1/search", fall_back)
    upload(page, picture(4))
    expect(page.get_by_role("note")).to_contain_text(words)
    expect(page.locator("#count")).to_have_text("20 items")
    expect(page.locator("#grid .card .score").first).to_be_hidden()
    page.unroute("**/v1/search")
    upload(page, picture(4))
    expect(page.locator("#grid .card .score").first).to_be_visible()
    expect(page.get_by_role("note")).to_be_hidden()
