"""A split is embedded and evaluated; what was found can be drawn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.catalog.catalogue import open_catalogue
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.evaluation import evaluate_embedded, evaluate_split, print_metrics, read_metrics, write_metrics
from src.eval.pictures import draw_results
from src.eval.protocol import Protocol
from src.models.color_histogram import color_histogram

SPEC = PreprocessingSpec(size=32, resize="squash")


@pytest.fixture
def catalogue(data_settings, folder_catalogue, tmp_path: Path):
    root = folder_catalogue(tmp_path / "shop", items=14, images=3)
    return open_catalogue(data_settings(root=str(root)))


def test_a_split_of_plain_patterns_is_found_by_its_colours(catalogue) -> None:
    calls = []

    def embed(pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        return color_histogram(pixels)

    evaluation = evaluate_split(catalogue, "test", SPEC, embed, batch=5)
    # Leave-one-out: query and gallery are the same images, and each is embedded once.
    assert sum(calls) == len(catalogue.query_rows("test")) == evaluation.metrics["queries"]
    assert max(calls) <= 5
    assert evaluation.metrics["recall@1"] > 0.9
    again = evaluate_embedded(evaluation.queries, evaluation.gallery)
    assert again.metrics == evaluation.metrics
    images = evaluate_split(catalogue, "test", SPEC, color_histogram, protocol=Protocol(level="image"))
    assert images.ranking.positives.tolist() == [2] * evaluation.metrics["queries"]


def test_a_split_without_rows_is_refused(data_settings, folder_catalogue, tmp_path: Path) -> None:
    root = folder_catalogue(tmp_path / "shop", items=3, images=1)
    catalogue = open_catalogue(data_settings(root=str(root), val_fraction=0.0, test_fraction=0.0))
    with pytest.raises(LookalikeError, match="split 'test' has 0 queries and 0 gallery images"):
        evaluate_split(catalogue, "test", SPEC, color_histogram)


def test_metrics_survive_their_file(tmp_path: Path, capsys) -> None:
    metrics = {"recall@1": 0.25, "queries": 4}
    write_metrics(metrics, tmp_path / "deep" / "metrics.json")
    assert read_metrics(tmp_path / "deep" / "metrics.json") == metrics
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["metrics.json"]
    assert read_metrics(tmp_path / "absent.json") == {}
    print_metrics(metrics, "a title")
    printed = capsys.readouterr().out
    for part in ("a title", "recall@1", "0.2500", "queries", "4"):
        assert part in printed
    print_metrics({"mrr": 0.5, "mrr_low": 0.25, "mrr_high": 0.75, "x_low": 0.1}, "with intervals")
    printed = capsys.readouterr().out
    assert "0.2500 to 0.7500" in printed
    assert "mrr_low" not in printed
    assert "x_low" in printed


def test_results_are_drawn_with_hits_in_green_and_misses_in_red(catalogue, tmp_path: Path) -> None:
    evaluation = evaluate_split(catalogue, "test", SPEC, color_histogram)
    draw_results(catalogue, evaluation, tmp_path / "new" / "results.png", queries=3, top=4)
    with Image.open(tmp_path / "new" / "results.png") as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    # One row a query: its height is that of the picture, its frame and its caption.
    assert pixels.shape[:2] == (14 + 18 + 3 * (128 + 14 + 18), 14 + 5 * (128 + 14) + 14)
    green, red = ((pixels == colour).all(axis=2) for colour in ((22, 140, 70), (205, 50, 50)))
    frame = 4 * 136 * 4 - 4 * 16
    chosen = np.linspace(0, len(evaluation.queries) - 1, 3).round().astype(int)
    found = evaluation.ranking.top_rows[chosen, :4]
    hits = evaluation.gallery.item_ids[found] == evaluation.queries.item_ids[chosen][:, None]
    # Ticks, crosses and figures add some pixels of the same colour.
    assert hits.sum() * frame <= green.sum() <= hits.sum() * (frame + 600)
    assert (~hits).sum() * frame <= red.sum() <= (~hits).sum() * (frame + 600)
