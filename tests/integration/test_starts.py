"""Where an encoder starts from, by command line: untrained and served as it is, and on from an earlier run."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from src.contracts.bundle import ITEMS_TABLE, open_bundle
from src.models.checkpoint import load_encoder
from src.search import Searcher
from tests.integration.test_pipeline import run, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("starts")


@pytest.fixture(scope="module")
def cold(folder: Path, warm_python: Path) -> Path:
    return train(warm_python, folder, "cold", "model.head=none", "trainer.epochs=0")


def test_a_backbone_without_training_is_evaluated_exported_and_served(
    cold: Path, folder: Path, warm_python: Path
) -> None:
    checkpoint = f"checkpoint={cold / 'checkpoints' / 'best.ckpt'}"
    run(warm_python, folder, "evaluate.py", checkpoint, "split=val", f"output={folder / 'evaluated'}", "report=false")
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    assert evaluated == json.loads((cold / "metrics.json").read_text())
    assert evaluated["queries"] > 0

    run(warm_python, folder, "export.py", checkpoint, f"output={folder / 'bundle'}")
    bundle = open_bundle(folder / "bundle")
    assert bundle.content["dim"] == 16  # the backbone's own width
    assert bundle.measured["evaluation"] == evaluated

    searcher = Searcher.open(folder / "bundle", threads=1)
    items = pq.read_table(bundle.path(ITEMS_TABLE))
    best = searcher.search(folder / "shop" / items["image"][3].as_py(), k=3)[0]
    assert best.row["item_id"] == items["item_id"][3].as_py()
    assert best.score == pytest.approx(1, abs=1e-3)


def test_training_goes_on_from_an_earlier_run(cold: Path, folder: Path, warm_python: Path) -> None:
    weights = f"model.weights={cold / 'checkpoints' / 'best.ckpt'}"
    warm = train(warm_python, folder, "warm", weights, "trainer.epochs=0")
    encoder, _, card = load_encoder(warm / "checkpoints" / "best.ckpt")
    earlier, _, earlier_card = load_encoder(cold / "checkpoints" / "best.ckpt")
    for name, value in earlier.backbone.state_dict().items():
        assert torch.equal(encoder.backbone.state_dict()[name], value), name
    assert encoder.dim == 16
    assert card["start"]["run"]["name"] == earlier_card["name"] == "demo"
    assert "the backbone alone of the run 'demo', with a new head" in (warm / "train.log").read_text()
