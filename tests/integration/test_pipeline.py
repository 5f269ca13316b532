"""The command lines after one another on a tiny shop: train, evaluate, export."""

import json
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.contracts.bundle import ITEMS_TABLE, open_bundle
from tests.wandb_records import wandb_config, wandb_history, wandb_records

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def run(python: Path, cwd: Path, script: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [python, ROOT / script, *overrides],
        cwd=cwd,
        env={**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DATA_DIR": str(cwd / "first")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def train(python: Path, folder: Path, name: str, *overrides: str) -> Path:
    run(
        python,
        folder,
        "train.py",
        "experiment=demo",
        f"data.root={folder / 'shop'}",
        f"data.cache={folder / 'cache'}",
        "data.shop={parents: 40, image_size: 48, sessions: 20}",
        "data.p=8",
        "data.k=2",
        "preprocessing.size=32",
        "model.backbone_kwargs={channels: [8, 8, 16, 16]}",
        "model.hidden_dim=16",
        "model.embedding_dim=16",
        "trainer.epochs=1",
        "trainer.accelerator=cpu",
        f"hydra.run.dir={folder / name}",
        *overrides,
    )
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def first(folder: Path, warm_python: Path) -> Path:
    return train(warm_python, folder, "first", "logger=[wandb,tensorboard]", "callbacks=pictures")


def test_a_run_leaves_its_checkpoint_metrics_and_config(first: Path) -> None:
    assert (first / "checkpoints" / "best.ckpt").is_file()
    assert (first / ".hydra" / "config.yaml").is_file()
    assert (first / "log" / "metrics.csv").read_text().count("\n") >= 2
    metrics = json.loads((first / "metrics.json").read_text())
    assert metrics["queries"] > 0
    assert 0 <= metrics["recall@1"] <= metrics["recall@5"] <= metrics["recall@10"] <= 1


def test_the_same_seed_gives_the_same_run(first: Path, folder: Path, warm_python: Path) -> None:
    second = train(warm_python, folder, "second")
    assert (second / "metrics.json").read_bytes() == (first / "metrics.json").read_bytes()


def test_the_run_is_written_for_weights_and_biases(first: Path) -> None:
    (path,) = first.rglob("run-*.wandb")
    config, scalars = wandb_config(path), wandb_history(path)
    metrics = json.loads((first / "metrics.json").read_text())
    assert scalars["val/recall@1"][-1] == pytest.approx(metrics["recall@1"])
    assert "train/loss" in scalars or "val/mrr" in scalars
    assert config["name"] == "demo"
    assert config["preprocessing"]["size"] == 32
    assert config["loss"]["name"] == "InfoNCE"
    assert scalars["best/recall@1"] == [pytest.approx(metrics["recall@1"])]


def test_results_are_drawn_while_it_trains(first: Path, folder: Path, warm_python: Path) -> None:
    """The picture of the epoch that was kept is the one that evaluate.py draws of its checkpoint."""
    checkpoint, output = first / "checkpoints" / "best.ckpt", folder / "drawn"
    run(
        warm_python, folder, "evaluate.py", f"checkpoint={checkpoint}", "split=val", "pictures=8", "report=false",
        "resamples=0", f"output={output}",
    )  # fmt: skip
    drawn = (first / "pictures" / "epoch-001.png").read_bytes()
    assert drawn == (output / "results.png").read_bytes()
    (path,) = first.rglob("run-*.wandb")
    assert wandb_history(path)["val/results/count"] == [1]
    readers = [EventAccumulator(str(events)).Reload() for events in first.rglob("events.out.tfevents*")]
    pictures = [image for one in readers if one.Tags()["images"] for image in one.Images("val/results")]
    assert [image.encoded_image_string[:8] for image in pictures] == [drawn[:8]]


def test_the_checkpoint_is_evaluated_and_exported(first: Path, folder: Path, warm_python: Path) -> None:
    checkpoint = f"checkpoint={first / 'checkpoints' / 'best.ckpt'}"
    run(warm_python, folder, "evaluate.py", checkpoint, "split=val", f"output={folder / 'evaluated'}", "pictures=2")
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    assert evaluated == json.loads((first / "metrics.json").read_text())
    assert (folder / "evaluated" / "results.png").is_file()

    done = run(warm_python, folder, "export.py", checkpoint, f"output={folder / 'bundle'}")
    bundle = open_bundle(folder / "bundle")
    assert f"bundle: {folder / 'bundle'} ({bundle.bundle_id[:16]})" in done.stdout
    assert bundle.content["dim"] == 16
    assert bundle.content["config"]["name"] == "demo"
    assert bundle.measured["evaluation"] == evaluated
    runs = [[r.artifact for r in wandb_records(path) if r.HasField("artifact")] for path in first.rglob("run-*.wandb")]
    made = {artifact.digest for run in runs for artifact in run if artifact.type == "model"}
    (used,) = (artifact for run in runs for artifact in run if artifact.use_after_commit)
    assert made == {used.digest}
    assert sum(artifact.type == "bundle" for run in runs for artifact in run) == 1
    items = pq.read_table(bundle.path(ITEMS_TABLE))
    assert items.num_rows == bundle.content["index"]["vectors"] > 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "bundle", "cache", "drawn", "evaluated", "first", "second", "shop",
    ]  # fmt: skip
