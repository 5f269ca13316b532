"""Where an encoder starts from, by command line: untrained and served as it is, and on from an earlier run."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from serve.bundle.engine import Engine
from serve.bundle.filters import Filters
from src.contracts.bundle import ITEMS_TABLE, open_bundle
from src.contracts.preprocessing import preprocess
from src.models.checkpoint import load_encoder
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

    engine = Engine.open(folder / "bundle", encoder_threads=1)
    items = pq.read_table(bundle.path(ITEMS_TABLE))
    image = (folder / "shop" / items["image"][3].as_py()).read_bytes()
    results = engine.described(
        engine.search(engine.embed(preprocess(image, bundle.preprocessing)[None])[0], 3, Filters())
    )
    assert results[0].item_id == items["item_id"][3].as_py()
    assert results[0].score == pytest.approx(1, abs=1e-3)


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
