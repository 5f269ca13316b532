"""What the page does in Chromium: search, filters, errors, navigation."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.search.small_bundle import picture
from tests.serve.browsing import browser, needs_chromium, opened, shown, upload, url
from tests.serve.running import running

__all__ = ["browser", "opened", "url"]

pytestmark = needs_chromium


def test_photo_gives_items_with_score_category_price_and_picture(opened, shop):
    page, watched = opened
    upload(page, shop.pictures[3])
    expect(page.locator("#grid .card")).to_have_count(20)
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
    assert "No price" in shown(page, "price")
    assert set(shown(page, "price")) <= prices | {"No price"}
    assert {"In stock", "Sold out"} <= set(shown(page, "stock"))
    expect(page.locator("#time")).to_contain_text("Answered in")
    page.locator("#time").click()
    expect(page.locator("#stages")).to_contain_text("decode")
    page.wait_for_load_state("networkidle")
    loaded = "images => images.slice(0, 4).every(image => image.complete && image.naturalWidth === 96)"
    assert page.locator("#grid .card img").evaluate_all(loaded)
    bar, track = (page.locator(f"#grid .card .{name}").nth(2).bounding_box() for name in ("bar", "track"))
    assert bar["width"] / track["width"] == pytest.approx(scores[2], abs=0.01)
    assert watched.errors == []


def test_click_on_a_result_goes_on_from_it_and_back(opened, shop):
    page, watched = opened
    upload(page, shop.pictures[3])
    expect(page.locator("#grid .card")).to_have_count(20)
    before = shown(page, "id")
    page.locator("#grid .card").nth(1).click()
    expect(page.locator("#query-id")).to_have_text(before[1])
    expect(page.locator(".trail [aria-current]")).to_have_text(page.locator("#query-name").inner_text())
    expect(page.locator("#grid")).not_to_contain_text(before[1])
    page.get_by_role("button", name="← Back").click()
    expect(page.locator("#query-name")).to_have_text("photo.jpg")
    expect(page.locator("#grid .id").first).to_have_text(before[0])
    assert shown(page, "id") == before
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#start")).to_be_visible()
    page.go_forward()
    expect(page.locator("#grid .card")).to_have_count(20)
    assert watched.errors == []


def test_filters_are_applied_and_cleared(opened):
    page, watched = opened
    upload(page, picture(9))
    expect(page.locator("#grid .card")).to_have_count(20)
    page.get_by_text("shoes", exact=True).first.click()
    expect(page.locator("#count")).to_have_text("12 similar items")
    assert all("shoes" in text for text in shown(page, "name"))
    page.get_by_label("In stock only").check()
    expect(page.locator("#grid .stock.no")).to_have_count(0)
    page.get_by_label("Lowest price").fill("50")
    expect(page.locator("#filters-active")).to_have_text("3")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#grid .price')].every(p => Number(p.textContent) >= 50)"
    )
    page.get_by_label("Lowest price").fill("9999")
    expect(page.get_by_role("heading", name="No item matches these filters")).to_be_visible()
    page.locator("#nothing-clear").click()
    expect(page.locator("#grid .card")).to_have_count(20)
    expect(page.locator("#filters-active")).to_be_hidden()
    assert watched.errors == []


def test_wrong_prices_are_explained(opened):
    page, _ = opened
    upload(page, picture(9))
    expect(page.locator("#grid .card")).to_have_count(20)
    page.get_by_label("Lowest price").fill("50")
    page.get_by_label("Highest price").fill("10")
    expect(page.get_by_role("alert")).to_contain_text("The lowest price, 50, is above the highest, 10.")
    page.get_by_label("Lowest price").fill("-5")
    expect(page.get_by_role("alert")).to_contain_text("Prices are numbers from 0 on.")
    page.get_by_label("Lowest price").fill("")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#grid .card").first).to_be_visible()


def test_broken_file_is_explained_and_the_next_one_works(opened):
    page, watched = opened
    upload(page, picture(1)[:700], "broken.jpg")
    expect(page.get_by_role("alert")).to_contain_text("truncated or damaged")
    expect(page.locator("#grid .card")).to_have_count(0)
    expect(page.locator("#part")).to_be_hidden()
    upload(page, b"<svg/>", "drawing.jpg")
    expect(page.get_by_role("alert")).to_contain_text("Not a JPEG, PNG, WebP")
    assert {error.split("(")[0] for error in watched.errors} <= {
        "Failed to load resource: the server responded with a status of 422 ",
        "Failed to load resource: the server responded with a status of 415 ",
    }
    upload(page, picture(1))
    expect(page.locator("#grid .card")).to_have_count(20)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_page_is_used_with_the_keyboard_alone(opened):
    page, watched = opened
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the results")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    page.locator("#examples button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#grid .card")).to_have_count(20)
    expect(page.locator("#results")).to_be_focused()
    page.locator("#grid .card").first.focus()
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


def test_stopped_service_is_explained_and_the_search_can_be_repeated(browser, shop):
    with running(["--bundle", str(shop.root)]) as started, browser.new_context() as context:
        page = context.new_page()
        page.goto(started.url)
        expect(page.locator("#examples button").first).to_be_visible()
        assert started.stop()[0] == 0
        upload(page, picture(1))
        expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
        answer = {"results": [], "bundle_id": "x", "rung": "search"}
        page.route("**/v1/search", lambda route: route.fulfill(json=answer))
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator("#count")).to_have_text("No items found")


def test_photo_above_the_limit_is_refused_before_it_is_sent(browser, url):
    with browser.new_context() as context:
        page = context.new_page()

        def small_limit(route: Route) -> None:
            bundle = route.fetch().json()
            bundle["limits"]["max_upload_bytes"] = 1000
            route.fulfill(json=bundle)

        page.route("**/v1/bundle", small_limit)
        page.goto(url)
        expect(page.locator("#examples button").first).to_be_visible()
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url))
        upload(page, picture(1))
        expect(page.get_by_role("alert")).to_contain_text("The photo is too large")
        assert not any("/v1/search" in asked for asked in sent)


def test_trail_shows_the_last_steps_and_each_can_be_reached(opened, shop):
    page, watched = opened
    page.locator("#examples button").first.click()
    for _ in range(6):
        expect(page.locator("#grid .card")).to_have_count(20)
        name = page.locator("#query-id").inner_text()
        page.locator("#grid .card").nth(1).click()
        expect(page.locator("#query-id")).not_to_have_text(name)
    expect(page.locator(".trail li")).to_have_text(["Start", "…", *[re.compile(".")] * 5])
    page.locator(".trail li button").nth(1).click()
    expect(page.locator(".trail li")).to_have_count(4)
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#start")).to_be_visible()
    assert watched.errors == []
