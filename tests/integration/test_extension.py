"""The package of `examples/extension`, outside of Lookalike, is trained, evaluated, exported and searched."""

import csv
import json
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from src.contracts.bundle import ITEMS_TABLE, open_bundle
from src.models.checkpoint import CARD
from src.search import Searcher

pytestmark = pytest.mark.slow

SHOP = ["data.shop={parents: 24, image_size: 48, sessions: 20}", "data.p=8", "trainer.epochs=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extension")


def run(python: Path, repository: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    extension = repository / "examples" / "extension"
    script, *others = arguments
    if script == "train.py":
        others = ["--config-dir", str(extension / "conf"), *others, f"data.root={folder / 'shop'}", *SHOP]
        others += [f"data.cache={folder / 'cache'}", "trainer.accelerator=cpu"]
    environment = {**os.environ, "PYTHONPATH": str(extension)}
    command = [str(python), str(repository / script), *others]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def trained(folder: Path, repository: Path, warm_python: Path) -> Path:
    """The folder of a run in which every part is the package's."""
    options = ["experiment=my_experiment", f"hydra.run.dir={folder / 'run'}"]
    done = run(warm_python, repository, folder, "train.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


def test_each_part_is_used(trained: Path) -> None:
    lines = (trained / "log" / "metrics.csv").read_text().splitlines()
    logged = {"train/my_steps", "lr/backbone", "lr/head", "lr/proxies", "val/spread", "val/recall@1"}
    assert logged <= set(lines[0].split(","))
    weights = json.loads((trained / "metrics.json").read_text())
    assert weights["queries"] > 0


def test_its_metric_chooses_the_checkpoint(trained: Path) -> None:
    with (trained / "log" / "metrics.csv").open() as file:
        spread = [float(row["val/spread"]) for row in csv.DictReader(file) if row["val/spread"]]
    assert len(spread) == 2
    content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    # The smaller, the better, as the class states it.
    assert content["epoch"] == spread.index(min(spread))
    assert content[CARD]["metric"]["monitor"] == "spread"


def test_a_checkpoint_is_taken_where_its_package_is_trusted(
    trained: Path, folder: Path, repository: Path, warm_python: Path
) -> None:
    checkpoint = f"checkpoint={trained / 'checkpoints' / 'best.ckpt'}"
    options = [checkpoint, "split=val", "report=false", f"output={folder / 'evaluated'}"]
    refused = run(warm_python, repository, folder, "evaluate.py", *options)
    assert refused.returncode == 2
    assert "it is made with my_parts.backbone.MyNetwork" in refused.stderr
    assert "if you trust it, set `trust=[my_parts]`" in refused.stderr

    done = run(warm_python, repository, folder, "evaluate.py", *options, "trust=[my_parts]")
    assert done.returncode == 0, done.stdout + done.stderr
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    assert evaluated == json.loads((trained / "metrics.json").read_text())

    done = run(
        warm_python, repository, folder, "export.py", checkpoint, f"output={folder / 'bundle'}", "trust=[my_parts]"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    bundle = open_bundle(folder / "bundle")
    assert bundle.content["dim"] == 32
    # The bundle needs the package no longer.
    items = pq.read_table(bundle.path(ITEMS_TABLE))
    best = Searcher.open(folder / "bundle", threads=1).search(folder / "shop" / items["image"][3].as_py(), k=3)[0]
    assert best.row["image_id"] == items["image_id"][3].as_py()


def test_registered_names_need_the_package_s_import(folder: Path, repository: Path, warm_python: Path) -> None:
    options = ["experiment=my_experiment", "model=my_registered_model", "model.head=NormHead", "trainer.epochs=0"]
    run_folder = folder / "registered"
    done = run(warm_python, repository, folder, "train.py", *options, f"hydra.run.dir={run_folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    checkpoint = [f"checkpoint={run_folder / 'checkpoints' / 'best.ckpt'}", f"output={folder / 'named'}"]
    refused = run(warm_python, repository, folder, "evaluate.py", *checkpoint, "split=val", "report=false")
    assert refused.returncode == 2
    assert "`model.backbone=my_network`: no timm model" in refused.stderr or "`model.head=NormHead`" in refused.stderr
    assert "import that with `trust=[PACKAGE]`" in refused.stderr


def test_a_miner_chooses_for_the_losses_of_the_library(folder: Path, repository: Path, warm_python: Path) -> None:
    options = ["experiment=my_experiment", "loss=triplet", "miner=my_miner", f"hydra.run.dir={folder / 'mined'}"]
    done = run(warm_python, repository, folder, "train.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_reader_finds_the_photos_again_where_it_is_trusted(
    trained: Path, folder: Path, repository: Path, warm_python: Path
) -> None:
    shop = pq.read_table(folder / "shop" / "items.parquet", columns=["item_id", "image", "category"]).to_pylist()
    products: dict[str, dict] = {}
    for row in shop:
        product = products.setdefault(row["item_id"], {"sku": row["item_id"], "kind": row["category"], "photos": []})
        product["photos"].append(row["image"])
    (folder / "shop" / "items.jsonl").write_text("\n".join(map(json.dumps, products.values())))
    options = ["experiment=my_experiment", "data=my_data", f"hydra.run.dir={folder / 'read'}", "trainer.epochs=1"]
    done = run(warm_python, repository, folder, "train.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    options = [f"checkpoint={folder / 'read' / 'checkpoints' / 'best.ckpt'}", "split=val", "report=false"]
    options += ["trust=[my_parts]", f"output={folder / 'read again'}"]
    done = run(warm_python, repository, folder, "evaluate.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    evaluated = json.loads((folder / "read again" / "metrics.json").read_text())
    assert evaluated == json.loads((folder / "read" / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("trust=[my_part]", "`trust=[my_part]`: cannot be imported (No module named 'my_part')"),
        ("model.head=NormHeads", "`model.head=NormHeads`: must be one of mlp, "),
        ("optimizer._target_=my_parts.training.Sign", "Sign"),
        ("metric.monitor=spreads", "`metric.monitor=spreads`: must be one that is logged: recall@1, "),
        ("metric.mode=max", "`metric.monitor=spread`: Spread has `higher_is_better=False`, against `metric.mode=max`"),
    ],
)
def test_what_is_not_there_is_named(
    option: str, message: str, folder: Path, repository: Path, warm_python: Path
) -> None:
    options = ["experiment=my_experiment", option, f"hydra.run.dir={folder / 'refused'}"]
    done = run(warm_python, repository, folder, "train.py", *options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
