"""Recall@1 under edits, with embeddings that react to some edits and not to others."""

import json
from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EvaluateSettings
from src.eval.evaluation import Evaluation, evaluate_split
from src.eval.protocol import Protocol
from src.eval.robustness import _others, measure_robustness, print_robustness, write_robustness

SPEC = PreprocessingSpec(size=24)


def embed(pixels: np.ndarray) -> np.ndarray:
    """Where the light is: turned by a turn of the picture, and the same for a darker one."""
    blocks = pixels.reshape(len(pixels), 6, 4, 6, 4, 3).mean(axis=(2, 4)).reshape(len(pixels), -1)
    return blocks.astype(np.float32) + 1e-3


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, data_settings, folder_catalogue) -> Catalogue:
    root = folder_catalogue(tmp_path_factory.mktemp("robust") / "shop", items=40, images=3)
    return open_catalogue(data_settings(root=str(root), val_fraction=0.0, test_fraction=0.7))


@pytest.fixture(scope="module")
def evaluation(catalogue: Catalogue) -> Evaluation:
    return evaluate_split(catalogue, "test", SPEC, embed)


def test_what_an_edit_changes_for_the_encoder_shows(
    catalogue: Catalogue, evaluation: Evaluation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["dark", "rotated90", "quarter", "clutter", "clutter_box"]
    measured = measure_robustness(catalogue, evaluation, SPEC, embed, names, Protocol(), resamples=500)
    found = {each.edit: each for each in measured}
    assert list(found) == names
    before = evaluation.metrics["recall@1"]
    for each in measured:
        assert each.change.value == pytest.approx(each.value - before)
        assert each.queries == evaluation.metrics["queries"]
    # A darker picture has the same direction, but for rounding.
    assert found["dark"].change.value == 0
    assert found["dark"].change.reason == "equal on every product"
    for name in ("rotated90", "clutter"):
        change = found[name].change
        assert change.high is not None
        assert change.high < 0, name
    write_robustness(measured, tmp_path / "robustness.json")
    written = json.loads((tmp_path / "robustness.json").read_text())
    assert [each["edit"] for each in written] == names
    assert written[0]["value"] == found["dark"].value
    print_robustness(measured)
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)


def test_clutter_is_of_another_product() -> None:
    rng = np.random.default_rng(0)
    for products in (rng.integers(0, 9, 200), np.array([0] * 90 + [1] * 9 + [2]), np.array(["a", "b"])):
        assert np.all(products[_others(products)] != products)
    with pytest.raises(LookalikeError, match="all of one"):
        _others(np.zeros(5))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"checkpoint": "a", "robustness": ["fog"]}, "'fog' must be all or one of jpeg30"),
        ({"embeddings": "a", "robustness": ["all"]}, "embedded anew"),
        ({"baseline": "random", "robustness": ["all"]}, "embedded anew"),
        ({"checkpoint": "a", "robustness": ["all"], "merge_queries": "x"}, "single photos"),
    ],
)
def test_what_cannot_be_edited_is_refused(settings: dict, words: str) -> None:
    with pytest.raises(LookalikeError, match=words):
        EvaluateSettings(output="x", **settings).check()
