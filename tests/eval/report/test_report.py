"""The report, opened in a browser as its reader opens it."""

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import ShopSettings
from src.eval.confidence import confidence_metrics
from src.eval.evaluation import Evaluation, evaluate_split
from src.eval.explanations.explained_results import Explained, ExplainedResult
from src.eval.hard_cases import hard_cases
from src.eval.report.build import write_report
from src.eval.slices import slice_queries
from src.models.color_histogram import color_histogram

CHROMIUM = shutil.which("chromium")

in_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: the report is not opened; `apt-get install chromium` brings it"
)

TITLE = "<b>histogram</b> & friends"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, data_settings) -> Catalogue:
    root = tmp_path_factory.mktemp("report") / "shop"
    settings = ShopSettings(parents=60, seed=0, image_size=32, sessions=5)
    return open_catalogue(data_settings(reader="shop", root=str(root), split_by="given", shop=settings))


@pytest.fixture(scope="module")
def evaluation(shop: Catalogue) -> Evaluation:
    return evaluate_split(shop, "val", PreprocessingSpec(size=32), color_histogram)


def explained_pair() -> Explained:
    """As `explain_worst` gives it; of which pair does not matter here."""
    picture = Image.new("RGB", (32, 32), (200, 30, 30))
    side = ExplainedResult("a", "wrong-item", 0.75, 1, picture, picture, picture, picture)
    return Explained("q", "asked-item", side, replace(side, item_id="right-item", rank=7, score=0.5))


def write(
    path: Path,
    evaluation: Evaluation,
    catalogue: Catalogue | None,
    *,
    measured: bool = True,
    explained: Sequence[Explained] = (),
) -> Path:
    write_report(
        path,
        title=TITLE,
        evaluation=evaluation,
        metrics=evaluation.metrics | (confidence_metrics(evaluation) if measured else {}),
        slices=slice_queries(evaluation.per_query) if measured else [],
        hard_cases=hard_cases(evaluation.per_query),
        confidence=0.95,
        config={"name": "</pre><script>alert(1)</script>"},
        catalogue=catalogue,
        explained=explained,
        map_images=60,
    )
    return path


@pytest.fixture(scope="module")
def report(evaluation: Evaluation, shop: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "below" / "report.html"
    return write(path, evaluation, shop, explained=[explained_pair()])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda asked: wrong.append(asked.url) if asked.url[:5] not in ("file:", "data:") else None)
        page.goto(report.as_uri())
        yield page
        assert wrong == []


@in_browser
def test_shows_each_metric_with_its_interval(page: Page, evaluation: Evaluation) -> None:
    rows = page.locator("#metrics tbody tr")
    metrics = evaluation.metrics | confidence_metrics(evaluation)
    shown = {row.split("\t")[0]: row.split("\t")[1:3] for row in rows.all_inner_texts()}
    names = [name for name in metrics if f"{name}_low" in metrics and "excess" not in name]
    assert list(shown) == names
    for name in names:
        assert shown[name] == [f"{metrics[name]:.3f}", f"{metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f}"]


@in_browser
def test_shows_what_was_found_and_what_was_missed(page: Page, evaluation: Evaluation) -> None:
    first = evaluation.ranking.ranks[:, 0]
    deepest = page.locator("#gallery .strip").first
    rank = deepest.locator(".missed figcaption").inner_text()
    assert f"rank {first.max()}" in rank
    assert deepest.locator(".query figcaption").inner_text() in evaluation.queries.item_ids[first == first.max()]
    assert deepest.locator(".hit").count() == 0
    # Every picture is there: a data URI that did not decode has no width.
    decode = "async image => { image.loading = 'eager'; await image.decode(); return image.naturalWidth; }"
    widths = page.evaluate(f"Promise.all([...document.images].filter(image => image.src).map({decode}))")
    assert len(widths) > 50
    assert set(widths) == {96, 32}


@in_browser
def test_has_a_section_for_each_part(page: Page) -> None:
    parts = ["metrics", "curve", "slices", "bias", "gallery", "explained", "hard", "map", "data", "config"]
    assert page.locator("main section").evaluate_all("all => all.map(one => one.id)") == parts
    links = page.locator("nav a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert links == [f"#{part}" for part in parts]
    expect(page.locator("#slices")).to_contain_text("category")
    expect(page.locator("#bias")).to_contain_text("color, first 10")


@in_browser
def test_explains_a_false_positive_beside_the_positive_it_displaced(page: Page) -> None:
    expect(page.locator("#explained .explained p")).to_have_text(
        [
            "False positive: asked-item and wrong-item, cosine 0.750, rank 1",
            "Missed positive: asked-item and right-item, cosine 0.500, rank 7",
        ]
    )
    expect(page.locator("#explained img")).to_have_count(8)


@in_browser
def test_the_map_shows_the_image_of_the_dot_pointed_at(page: Page) -> None:
    dots = page.locator("#map circle")
    expect(dots).to_have_count(60)
    tip = page.locator("#tip")
    expect(tip).to_be_hidden()
    dots.nth(5).scroll_into_view_if_needed()
    dots.nth(5).hover(force=True)
    expect(tip).to_be_visible()
    shown = tip.locator("span").inner_text()
    points = page.evaluate("JSON.parse(document.getElementById('points').textContent)")
    assert shown in [point["label"] for point in points]
    assert tip.locator("img").get_attribute("src") in [point["image"] for point in points]
    first = page.locator("#map .legend button").first
    first.click()
    assert first.get_attribute("aria-pressed") == "false"
    assert page.locator("#map circle.off").count() == sum(point["group"] == 0 for point in points)
    first.click()
    expect(page.locator("#map circle.off")).to_have_count(0)


@in_browser
def test_text_is_text(page: Page) -> None:
    expect(page.locator("h1")).to_have_text(TITLE)
    expect(page.locator("#config pre")).to_contain_text("<script>alert(1)</script>")


@in_browser
@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_reads_in_light_and_dark(page: Page, scheme: str, bright: bool) -> None:
    page.emulate_media(color_scheme=scheme)
    seen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"), dtype=float)
    # Mostly paper, with ink on it of the other kind.
    assert (np.median(seen) > 200) == bright
    ink = seen < 100 if bright else seen > 180
    assert 0.002 < ink.mean() < 0.3


@in_browser
def test_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_one_file_that_names_no_other(report: Path) -> None:
    assert [path.name for path in report.parent.iterdir()] == ["report.html"]
    text = report.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_vectors_without_images_and_without_intervals(evaluation: Evaluation, tmp_path: Path) -> None:
    text = write(tmp_path / "report.html", evaluation, None, measured=False).read_text()
    for absent in ("gallery", "hard", "data", "slices", "bias"):
        assert f'id="{absent}"' not in text
    for present in ("metrics", "curve", "config"):
        assert f'id="{present}"' in text
    assert json.dumps(evaluation.metrics["queries"]) in text
