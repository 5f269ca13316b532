"""Sweeps through train.py on a tiny shop: a trial that cannot work, and a sweep that is killed."""

import csv
import os
import signal
import subprocess
from pathlib import Path

import pytest

from src.eval.runs import open_run
from src.eval.training_log import learning_curve

pytestmark = pytest.mark.slow


def on_a_tiny_shop(tmp_path: Path, repository: Path, warm_python: Path) -> list[str]:
    return [
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
        "trainer.accelerator=cpu",
    ]


def test_a_sweep_trains_records_what_fails_and_is_done_when_asked_again(
    tmp_path: Path, repository: Path, warm_python: Path
) -> None:
    # Where a sweep goes unless it is told otherwise.
    folder = tmp_path / "multirun" / "demo" / "grid"
    command = [
        *on_a_tiny_shop(tmp_path, repository, warm_python),
        "trainer.epochs=1",
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


def test_a_sweep_that_was_killed_ends_as_one_that_was_not(tmp_path: Path, repository: Path, warm_python: Path) -> None:
    command = [
        *on_a_tiny_shop(tmp_path, repository, warm_python),
        "data.k=2",
        "trainer.epochs=2",
        "trainer.checkpoint_every=1",
        "trainer.lightning.limit_train_batches=2",
        "sweep=rates",
        "hydra.sweeper.trials=3",
        # The second trial's training, in its second epoch.
        "+callbacks.kill={_target_: tests.sweeps.kill_once.KillOnce, within: trial-0001, step: 3}",
    ]

    def sweep(folder: Path) -> subprocess.CompletedProcess[str]:
        given = [*command, f"hydra.sweep.dir={folder}"]
        return subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))

    def report(done: subprocess.CompletedProcess[str], folder: Path) -> tuple[str, str]:
        assert done.returncode == 0, done.stdout + done.stderr
        start = done.stdout.rindex("trial ", 0, done.stdout.index(" finished, "))
        printed = done.stdout[start:].replace(str(folder), "FOLDER")
        return printed, (folder / "trials.csv").read_text()

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    (whole / "killed").touch()
    expected = report(sweep(whole), whole)
    assert sweep(killed).returncode == -signal.SIGKILL
    first = killed / "trial-0000" / "seed-0" / "checkpoints" / "best.ckpt"
    written = first.stat().st_mtime_ns
    assert not (killed / "trial-0002").exists()
    assert report(sweep(killed), killed) == expected
    assert first.stat().st_mtime_ns == written
    # The killed training went on behind its last checkpoint.
    assert [path.name for path in sorted((killed / "trial-0001" / "seed-0" / "log").glob("*.csv"))] == [
        "metrics-001.csv",
        "metrics.csv",
    ]


def test_a_race_trains_on_where_its_trainings_paused(tmp_path: Path, repository: Path, warm_python: Path) -> None:
    folder = tmp_path / "race"
    command = [
        *on_a_tiny_shop(tmp_path, repository, warm_python),
        "data.k=2",
        "trainer.epochs=2",
        "trainer.lightning.limit_train_batches=2",
        "sweep=racing",
        "optim.lr=1e-3,1e-2",
        "hydra.sweeper.rungs=[0.5]",
        f"hydra.sweep.dir={folder}",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    # So small a shop tells nothing apart.
    assert "4 epochs trained of 4 (100%) that all 2 trials would take; trials behind each look: 2, 2" in done.stdout
    assert "race: at 50%, 2 of 2 trials stay; the best: lr 1e-" in done.stdout
    for number in range(2):
        run = folder / f"trial-{number:04d}" / "seed-0"
        assert [epoch for epoch, _ in learning_curve(run, "recall@1")] == [1, 2]
        assert (run / "log" / "metrics-001.csv").is_file()
    assert (folder / "race.html").read_text().count("<polyline") == 2
