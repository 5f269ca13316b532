"""What Weights & Biases gets, read back from what an offline run wrote: pictures, artifacts, and the way between."""

import json
from pathlib import Path

import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger

from src.catalog.catalogue import open_catalogue
from src.contracts.bundle import Bundle
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.evaluation import evaluate_split
from src.models.color_histogram import color_histogram
from src.tracking.artifacts import log_bundle
from src.tracking.hardest_queries import COLUMNS
from src.tracking.loggers import run_arguments, tracked
from src.tracking.result import log_result
from src.tracking.run_file import WandbRun, read_run, write_run
from tests.wandb_records import wandb_config, wandb_history, wandb_records

CARD = {
    "name": "tiny",
    "seed": 5,
    "model": {"backbone": "resnet10t"},
    "loss": {"name": "TripletMarginLoss"},
    "miner": {},
}
KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "home"))


@pytest.fixture
def folder(offline: None, tmp_path: Path, data_settings, folder_catalogue) -> Path:
    """A run's folder with a checkpoint, and what tracking wrote into it."""
    root = folder_catalogue(tmp_path / "photos", items=12, images=3)
    catalogue = open_catalogue(data_settings(root=str(root)))
    evaluation = evaluate_split(catalogue, "val", PreprocessingSpec(size=8, resize="squash"), color_histogram)
    folder = tmp_path / "run"
    checkpoint = folder / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    config = {"_target_": "lightning.pytorch.loggers.WandbLogger", "tags": []}
    loggers = [
        CSVLogger(folder, name="log", version=""),
        WandbLogger(name="tiny-seed5", project="shop", save_dir=folder, **run_arguments(config, CARD)),
    ]
    with tracked(loggers, {**CARD, "optim": {"lr": 0.5}}):
        loggers[1].log_metrics({"val/recall@1": 0.5}, step=3)
        log_result(
            loggers,
            folder,
            card=CARD,
            checkpoint=checkpoint,
            catalogue=catalogue,
            evaluation=evaluation,
            metrics=evaluation.metrics,
        )
    # The process may run another.
    assert wandb.run is None
    wait_for_the_service()
    return folder


def wait_for_the_service() -> None:
    """Wait until W&B's service has ended: it writes a run's file in a process of its own, also after `finish`."""
    wandb.teardown()


def artifacts(path: Path) -> dict:
    return {record.artifact.name: record.artifact for record in wandb_records(path) if record.HasField("artifact")}


@pytest.mark.filterwarnings("ignore:.*anonymous.*")
def test_from_the_run_to_its_bundle(folder: Path, tmp_path: Path) -> None:
    (trained,) = folder.rglob("run-*.wandb")
    run = read_run(folder)
    assert run is not None
    assert (run.project, run.name, run.offline) == ("shop", "tiny-seed5", True)
    (record,) = (record.run for record in wandb_records(trained) if record.HasField("run"))
    assert (record.run_id, record.run_group, record.job_type) == (run.id, run.group, "train")
    assert {*record.tags} == {"tiny", "resnet10t", "TripletMarginLoss"}
    assert wandb_config(trained)["optim"] == {"lr": 0.5}

    history = wandb_history(trained)
    assert history["val/recall@1"] == [0.5]
    assert history["trainer/global_step"][0] == 3
    assert len(history["best/recall@1"]) == 1
    table = json.loads(next(folder.rglob("hardest_queries*.table.json")).read_text())
    assert table["columns"] == [*COLUMNS]
    ranks = [row[COLUMNS.index("first rank")] for row in table["data"]]
    assert ranks
    logged = artifacts(trained)
    pictures = [entry.path for entry in logged[f"run-{run.id}-hardest_queries"].manifest.contents]
    assert sum(path.endswith(".jpg") for path in pictures) >= 3

    root = tmp_path / "bundle"
    root.mkdir()
    (root / "manifest.json").write_text("{}")
    content = {"dim": 16, "encoder_id": "e", "index": {"layout": "exact"}, "catalogue": {"images": 3}}
    log_bundle(Bundle(root, "b" * 64, content, {}), folder / "checkpoints" / "best.ckpt", CARD)
    wait_for_the_service()
    (exported,) = {*folder.rglob("run-*.wandb")} - {trained}
    made = artifacts(exported)
    used, bundle = made[f"encoder-{run.id}"], made[f"bundle-{run.id}"]
    # The same name and content: to Weights & Biases the artifact that the training made, and this run's input.
    assert used.digest == logged[f"encoder-{run.id}"].digest
    assert used.use_after_commit
    assert not bundle.use_after_commit
    assert [entry.path for entry in bundle.manifest.contents] == ["manifest.json"]
    assert json.loads(bundle.metadata)["bundle_id"] == "b" * 64
    (record,) = (record.run for record in wandb_records(exported) if record.HasField("run"))
    assert (record.run_group, record.job_type) == (run.group, "export")
    # The key is nowhere.
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_what_was_not_tracked_is_not_logged(offline: None, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints" / "best.ckpt"
    for text in (None, "{", '{"wandb": {"id": "x"}}', "[]"):
        if text is not None:
            (tmp_path / "tracking.json").write_text(text)
        assert read_run(tmp_path) is None
        log_bundle(Bundle(tmp_path, "b", {}, {}), checkpoint, CARD)
    assert not (tmp_path / "wandb").exists()


def test_the_file_of_a_run_is_read_as_written(tmp_path: Path) -> None:
    run = WandbRun("id", "project", None, "name", "group", False)
    write_run(tmp_path, run)
    assert read_run(tmp_path) == run
    assert [path.name for path in tmp_path.iterdir()] == ["tracking.json"]
