"""A sweep through train.py on a tiny shop: two trials in processes of their own, one of which cannot work."""

import csv
import os
import subprocess
from pathlib import Path

import pytest

from src.eval.runs import open_run

pytestmark = pytest.mark.slow


def test_a_sweep_trains_records_what_fails_and_is_done_when_asked_again(
    tmp_path: Path, repository: Path, warm_python: Path
) -> None:
    # Where a sweep goes unless it is told otherwise.
    folder = tmp_path / "multirun" / "demo" / "grid"
    command = [
        str(warm_python),
        str(repository / "train.py"),
        "experiment=demo",
        f"data.root={tmp_path / 'shop'}",
        f"data.cache={tmp_path / 'cache'}",
        "data.shop={parents: 40, image_size: 48, sessions: 20}",
        "data.p=8",
        "preprocessing.size=32",
        "model.backbone_kwargs={channels: [8, 8, 16, 16]}",
        "model.hidden_dim=16",
        "model.embedding_dim=16",
        "trainer.epochs=1",
        "trainer.accelerator=cpu",
        # No -m: a sweep says so itself.
        "sweep=grid",
        "data.k=1,2",
        "hydra.sweeper.pruner=median",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=1",
    ]
    # From another folder than the repository's, where processes that are started must find the code all the same.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    with (folder / "trials.csv").open() as file:
        failed, finished = csv.DictReader(file)
    assert failed["message"].startswith("`data.k=1`: ")
    assert failed["message"].endswith(" needs at least 2 images per item; set `data.k=4`")
    assert finished["state"] == "complete"
    run = folder / "trial-0001" / "seed-0"
    assert open_run(str(run)).values(["recall@1"]).mean() == pytest.approx(float(finished["value"]))
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert '"op_code"' in (folder / "study.journal").read_text()
    assert "train.py experiment=demo" in done.stdout
    assert done.stdout.rstrip().endswith("data.k=2")
    assert "Traceback" not in done.stdout + done.stderr

    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "epoch 1" not in again.stdout
    assert "1 finished, 0 pruned, 1 failed" in again.stdout
