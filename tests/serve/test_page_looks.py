"""What the page looks like: windows of any width, light and dark, focus, loading, items with gaps."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.search.small_bundle import picture
from tests.serve.browsing import browser, needs_chromium, opened, upload, url

__all__ = ["browser", "opened", "url"]

pytestmark = needs_chromium

WIDTHS = (320, 400, 768, 1280)
LONG = "Manufaktur für außergewöhnlich-langlebige Lederwaren & Söhne GmbH"

FAINT = """() => {
    const parse = color => {
        const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
        return {light: [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0), a};
    };
    const behind = node => {
        for (let at = node; at; at = at.parentElement) {
            const color = parse(getComputedStyle(at).backgroundColor);
            if (color.a > 0.7) return color.light;
        }
        return null;
    };
    const faint = [];
    for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
        if (!own || !node.checkVisibility() || node.closest(".hidden, svg, option")) continue;
        const [a, b] = [parse(getComputedStyle(node).color).light, behind(node)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.push(`${node.tagName} "${node.textContent.trim()}": ${contrast.toFixed(2)}`);
    }
    return faint;
}"""
"""Visible texts whose contrast to the colour behind them is below 4.5 (WCAG 2.2, AA)."""

BORDERS = """() => {
    const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const surface = light(getComputedStyle(document.querySelector(".filters")).backgroundColor);
    return [".chip span", "input[type=number]", "select", ".drop"].map(selector => {
        const border = light(getComputedStyle(document.querySelector(selector)).borderTopColor);
        return (Math.max(border, surface) + 0.05) / (Math.min(border, surface) + 0.05);
    });
}"""
"""Contrast of the borders of controls; at least 3 (WCAG 2.2, 1.4.11)."""

RING = """() => {
    const node = document.activeElement;
    const seen = one => getComputedStyle(one).opacity !== "0" && one.getBoundingClientRect().width > 2;
    const candidates = [node, node.nextElementSibling, ...(node.labels ?? [])].filter(one => one && seen(one));
    const rings = candidates.map(one => getComputedStyle(one)).filter(style => style.outlineStyle !== "none");
    const name = `${node.tagName} ${node.id || node.name || node.className}`;
    return [name, Math.max(0, ...rings.map(style => parseFloat(style.outlineWidth)))];
}"""
"""The focused element and the width of the ring that shows the focus."""


def with_gaps(route: Route) -> None:
    """Answer with long names and ids, missing prices, stock, brands, colours and pictures."""
    found = route.fetch().json()
    for number, result in enumerate(found["results"]):
        result["price"] = (None, 1234567.5, 37.95)[number % 3]
        result["in_stock"] = (True, None, False)[number % 3]
        result["brand"] = (LONG, None, "Hollis", LONG.replace(" ", "-"))[number % 4]
        result["category"] = ("shoes", None)[number % 2]
        result["color"] = (None, "midnight turquoise metallic", "red")[number % 3]
        result["item_id"] = ("X" * 90, "P1")[number % 2]
        if number == 1:
            result["thumbnail"] += "-missing"
    route.fulfill(json=found)


def broken(route: Route) -> None:
    problem = {"title": "Search unavailable", "status": 503, "detail": LONG.replace(" ", ""), "request_id": "a" * 80}
    route.fulfill(status=503, json=problem, headers={"content-type": "application/problem+json"})


def fallen_back(route: Route) -> None:
    found = route.fetch().json()
    found["rung"] = "trending"
    for result in found["results"]:
        result["score"] = None
    route.fulfill(json=found)


def show(page: Page, state: str) -> None:
    """Bring the page into a state."""
    answers = {"gaps": with_gaps, "error": broken, "fallback": fallen_back}
    if state in answers:
        page.route("**/v1/search", answers[state])
    if state == "failed start":
        page.route("**/v1/bundle", broken)
        page.reload()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
    elif state != "start":
        upload(page, picture(1), f"{LONG}.jpg")
        expect(page.get_by_role("alert") if state == "error" else page.locator("#grid .card").first).to_be_visible()
    if state == "frame":
        page.get_by_text("My selection").click()
        expect(page.locator("#crop")).to_be_visible()
    if state == "no match":
        page.get_by_label("Lowest price").fill("99999")
        expect(page.locator("#nothing")).to_be_visible()


@pytest.mark.parametrize("state", ["start", "failed start", "gaps", "frame", "error", "fallback", "no match"])
def test_page_fits_any_window_and_has_contrast_in_light_and_dark(opened, state):
    page, _ = opened
    show(page, state)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wider = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.className)"
        assert page.locator(".card, .query, .error, .filters, .message, .trail").evaluate_all(wider) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    backs = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        backs.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate(FAINT) == []
        if state == "start":
            assert min(page.evaluate(BORDERS)) >= 3
    assert len(backs) == 2


def test_missing_facts_are_named(opened):
    page, _ = opened
    show(page, "gaps")
    first, second = page.locator("#grid .card").nth(0), page.locator("#grid .card").nth(1)
    expect(first.locator(".price")).to_have_text("No price")
    expect(first.locator(".color")).to_be_hidden()
    expect(second.locator(".name")).to_have_text("P1")
    expect(second.locator(".stock")).to_be_empty()
    expect(second.locator(".picture")).to_have_class("picture missing")
    expect(second.locator("img")).to_be_hidden()


def test_prices_and_scores_of_a_row_of_cards_are_aligned(opened):
    page, _ = opened
    show(page, "gaps")
    page.set_viewport_size({"width": 1280, "height": 900})
    tops = "nodes => nodes.map(node => Math.round(node.getBoundingClientRect().bottom))"
    for part in ("price", "score", "facts"):
        places = page.locator(f"#grid .{part}").evaluate_all(tops)[:4]
        assert max(places) - min(places) <= (1 if part != "price" else 4), part


def test_every_control_shows_its_focus(opened):
    page, _ = opened
    upload(page, picture(1))
    expect(page.locator("#grid .card")).to_have_count(20)
    with page.expect_response("**/v1/search"):
        page.get_by_text("My selection").click()
    page.locator("#results").focus()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    rings = {}
    for _ in range(60):
        page.keyboard.press("Tab")
        name, width = page.evaluate(RING)
        rings[name] = width
    kinds = (
        "A skip",
        "INPUT file",
        "DIV crop",
        "INPUT part",
        "SUMMARY",
        "INPUT category",
        "INPUT price_min",
        "BUTTON card",
    )
    assert all(any(name.startswith(kind) for name in rings) for kind in kinds), rings
    assert {name: width for name, width in rings.items() if width < 2 and not name.startswith("BODY")} == {}


def test_slow_search_says_that_it_searches(opened):
    page, _ = opened
    held: list[Route] = []
    page.route("**/v1/search", lambda route: held.append(route))
    upload(page, picture(1))
    expect(page.get_by_text("Searching…").last).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Searching…")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    held[0].continue_()
    expect(page.locator("#grid .card")).to_have_count(20)
    expect(page.locator(".searching")).to_be_hidden()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
