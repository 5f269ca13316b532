"""The start page: items of the catalogue, and what it says without them."""

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.search.small_bundle import picture
from tests.serve.browsing import browser, needs_chromium, opened, upload, url

__all__ = ["browser", "opened", "url"]

pytestmark = needs_chromium


def changed_bundle(browser: Browser, url: str, answer) -> Page:
    page = browser.new_page()
    page.route("**/v1/bundle", answer)
    page.goto(url)
    return page


def test_items_of_the_catalogue_are_shown_and_lead_to_similar_items(opened, shop):
    page, watched = opened
    examples = page.locator("#examples .card")
    assert examples.count() >= 2
    page.wait_for_function(
        "() => [...document.querySelectorAll('#examples img')].every(image => image.naturalWidth === 96)"
    )
    prices = {"No price"} | {f"{row['price']:.2f}" for row in shop.rows() if row["price"] is not None}
    assert set(page.locator("#examples .price").all_inner_texts()) <= prices
    name = examples.nth(1).locator(".name").inner_text()
    item = examples.nth(1).locator(".id").text_content()
    examples.nth(1).click()
    expect(page.locator("#query-name")).to_have_text(name)
    expect(page.locator("#query-id")).to_have_text(item)
    expect(page.locator("#grid .card")).to_have_count(20)
    expect(page.locator("#grid")).not_to_contain_text(item)
    expect(page.locator("#start")).to_be_hidden()
    assert watched.errors == []


def test_empty_catalogue_is_explained(browser, url):
    def empty(route: Route) -> None:
        bundle = route.fetch().json()
        bundle |= {"examples": [], "items": 0, "images": 0, "price": None}
        bundle["filters"] = {name: {"values": [], "distinct": 0} for name in bundle["filters"]}
        route.fulfill(json=bundle)

    page = changed_bundle(browser, url, empty)
    expect(page.locator("#start")).to_contain_text("The catalogue is empty")
    expect(page.locator("#served")).to_contain_text("0 items")
    expect(page.get_by_role("group", name="Category")).to_be_hidden()
    page.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda route: route.fulfill(status=502, body="<html>", content_type="text/html"), "answered with status 502"),
        (lambda route: route.fulfill(json={}), "does not say what it serves"),
        (lambda route: route.fulfill(body="{", content_type="application/json"), "cannot be reached"),
        (lambda route: route.abort(), "cannot be reached"),
        (
            lambda route: route.fulfill(
                status=503, body='{"title": "Busy", "detail": "come back"}', content_type="application/problem+json"
            ),
            "Come back.",
        ),
    ],
)
def test_failing_catalogue_is_explained_and_can_be_loaded_again(browser, url, answer, words):
    page = changed_bundle(browser, url, answer)
    expect(page.locator("#start")).to_contain_text(words)
    expect(page.locator("#start")).to_contain_text("You can still search with a photo.")
    upload(page, picture(1))
    expect(page.locator("#grid .card")).to_have_count(20)
    page.get_by_role("button", name="Start").click()
    page.unroute("**/v1/bundle")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#examples .card").first).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    expect(page.get_by_role("group", name="Category")).to_be_visible()
    page.close()
