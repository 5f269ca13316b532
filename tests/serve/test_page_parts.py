"""The frame over the photo, explanations, more results: what the page does beside a plain search."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.serve.small_bundle import picture
from tests.serve.test_page import CHROMIUM, CONTRAST, browser, opened, shown, upload, url

__all__ = ["browser", "opened", "url"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: see tests/serve/test_page.py")


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
    expect(page.locator(".card")).to_have_count(20)
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
    expect(page.locator(".card")).to_have_count(20)
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
        expect(page.locator(".card")).to_have_count(20)
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
    expect(page.locator(".card")).to_have_count(20)
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
    expect(page.locator(".card")).to_have_count(20)
    page.get_by_text("My selection").click()
    page.locator("#crop").press("ArrowRight")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    page.wait_for_timeout(500)
    page.locator(".card").first.click()
    expect(page.locator("#part")).to_be_hidden()
    expect(page.locator("#crop")).to_be_hidden()
    page.get_by_role("button", name="← Back").click()
    expect(page.locator("#crop")).to_be_visible()
    assert box_of(page) == [0.17, 0.15, 0.7, 0.7]


def test_explanation_is_laid_over_photo_and_item_and_taken_away(opened, shop):
    page, watched = opened
    upload(page, shop.pictures[3])
    expect(page.locator(".card")).to_have_count(20)
    why = page.get_by_role("button", name="Why is 1 here?")
    why.click()
    expect(page.locator("#why-text")).to_contain_text("What makes result 1 alike")
    expect(page.get_by_role("status")).to_contain_text("of the query")
    expect(why).to_have_attribute("aria-pressed", "true")
    assert page.locator("canvas.heat").count() == 2
    # The picture of the map has the size of the picture that it lies on.
    for holder, image in (("#stage", "#query-image"), (".card >> nth=0", ".card img >> nth=0")):
        heat, under = page.locator(f"{holder} >> canvas.heat").bounding_box(), page.locator(image).bounding_box()
        assert [heat[key] for key in heat] == pytest.approx([under[key] for key in heat], abs=1.5)
    painted = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 7, 7).data].filter((_, i) => i % 4 === 3)"
    alpha = np.array(page.locator("#stage canvas.heat").evaluate(painted))
    assert alpha.max() > 200
    assert alpha.min() < 60
    page.get_by_role("button", name="Why is 2 here?").click()
    expect(page.locator("#why-text")).to_contain_text("What makes result 2 alike")
    assert page.locator("canvas.heat").count() == 2
    expect(why).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Hide the explanation").click()
    expect(page.locator("canvas.heat")).to_have_count(0)
    expect(page.locator("#why")).to_be_hidden()
    # Of an item that looks like an item, too.
    page.locator(".card").nth(1).click()
    expect(page.locator("#query-kind")).to_have_text("Items that look like this one")
    expect(page.locator(".card")).to_have_count(20)
    page.get_by_role("button", name="Why is 3 here?").click()
    expect(page.locator("#why-text")).to_contain_text("What makes result 3 alike")
    assert watched.errors == []


def test_explanation_that_is_refused_is_told_in_words(opened, shop):
    page, _ = opened
    upload(page, shop.pictures[3])
    expect(page.locator(".card")).to_have_count(20)
    problem = {"title": "Overloaded", "status": 503, "detail": "x", "type": "about:blank", "request_id": "1"}
    page.route(
        "**/v1/explain",
        lambda route: route.fulfill(
            status=503, body=json.dumps(problem), headers={"content-type": "application/problem+json"}
        ),
    )
    page.get_by_role("button", name="Why is 1 here?").click()
    expect(page.locator("#why-text")).to_contain_text("try again in a moment")
    expect(page.get_by_role("button", name="Why is 1 here?")).to_have_attribute("aria-pressed", "false")


def test_more_results_follow_those_that_are_there(opened, shop):
    page, watched = opened
    upload(page, shop.pictures[3])
    expect(page.locator(".card")).to_have_count(20)
    before = shown(page, "id")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".card")).to_have_count(40)
    assert shown(page, "id")[:20] == before
    assert len(set(shown(page, "id"))) == 40
    assert page.locator(".rank").nth(20).inner_text() == "21"
    expect(page.locator(".card").nth(20)).to_be_focused()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".card")).to_have_count(60)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert watched.errors == []


def test_answer_that_is_no_search_says_what_it_is(opened, shop):
    page, _ = opened

    def fallen(route: Route) -> None:
        found = route.fetch().json()
        found["rung"] = "trending"
        for result in found["results"]:
            result["score"] = None
        route.fulfill(json=found)

    page.route("**/v1/search", fallen)
    upload(page, picture(4))
    expect(page.get_by_role("note")).to_contain_text("with what is popular, not by the picture")
    expect(page.locator(".card .score").first).to_be_hidden()
    expect(page.locator(".explain").first).to_be_hidden()
    page.unroute("**/v1/search")
    upload(page, picture(4))
    expect(page.locator(".card .score").first).to_be_visible()
    expect(page.get_by_role("note")).to_be_hidden()


def test_what_is_said_of_the_part_can_be_read_in_the_light_and_in_the_dark(opened, shop):
    page, _ = opened
    upload(page, shop.pictures[3])
    expect(page.locator(".card")).to_have_count(20)
    page.get_by_text("My selection").click()
    page.get_by_role("button", name="Why is 1 here?").click()
    expect(page.locator("#why-text")).to_contain_text("What makes")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for selector in (".part input:checked + span", ".part span", ".help", "#why-text", "#why-close"):
            assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5, (scheme, selector)
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
