"""Sweeps for two objectives: the front against its definition, and what such a sweep writes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EncoderSettings, TrainerSettings, TrainSettings
from src.contracts.settings.sweep import SweepSettings
from src.sweeps import trials
from src.sweeps.encoder_time import milliseconds
from src.sweeps.front import front_of
from src.sweeps.sweep import run_sweep
from src.sweeps.trial_file import read_trial

SPACE = {"model": CategoricalDistribution(["small", "large"]), "optim.lr": FloatDistribution(1e-4, 1e-2, log=True)}


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_no_other_point_beats(seed: int) -> None:
    # Few values, so that there are ties.
    points = np.random.default_rng(seed).integers(0, 6, (12, 2)) / 4
    value, cost = points.T
    as_good = (value[:, None] >= value) & (cost[:, None] <= cost)
    better = (value[:, None] > value) | (cost[:, None] < cost)
    expected = np.flatnonzero(~(as_good & better).any(axis=0))
    found = front_of([(float(a), float(b)) for a, b in points])
    assert sorted(found) == expected.tolist()
    assert [*cost[found]] == sorted(cost[found])


def test_a_sweep_for_two_objectives_reports_its_front_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def launch(jobs):
        for job in jobs:
            given = dict(override.split("=", 1) for override in job.overrides)
            (tmp_path / job.folder).mkdir(parents=True, exist_ok=True)
            # Optuna takes no reports of such a trial.
            assert read_trial(tmp_path / job.folder) is None
            value = float(given["optim.lr"]) + (0.1 if given["model"] == "large" else 0)
            # By which the clock below knows its network.
            (tmp_path / job.folder / "metrics.json").write_text(json.dumps({"recall@1": value}))
        return [None] * len(jobs)

    def clock(checkpoint: Path) -> float:
        assert checkpoint.parts[-2:] == ("checkpoints", "best.ckpt")
        return 8.0 if json.loads((checkpoint.parents[1] / "metrics.json").read_text())["recall@1"] > 0.05 else 2.0

    monkeypatch.setattr(trials, "milliseconds", clock)
    for count in (6, 12):
        settings = SweepSettings(trials=count, pruner="none", milliseconds=True)
        settings.check()
        study = run_sweep(tmp_path, settings, SPACE, [], launch)
    with (tmp_path / "trials.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 12
    best = {
        model: max((row for row in rows if row["model"] == model), key=lambda row: float(row["value"]))
        for model in ("small", "large")
    }
    assert {(row["milliseconds"]) for row in best.values()} == {"2.0", "8.0"}
    on_front = [
        line.split(" | ")[0].strip("| ") for line in (tmp_path / "front.md").read_text().splitlines() if "front" in line
    ]
    assert on_front == [best["small"]["trial"], best["large"]["trial"]]
    assert sorted(trial.number for trial in study.best_trials) == sorted(map(int, on_front))
    page = (tmp_path / "front.html").read_text()
    assert page.count("<circle") == 12
    assert page.count('class="best"') == 2
    assert "no trial beats these in both objectives: " in capsys.readouterr().out


def test_two_objectives_take_no_pruner(tmp_path: Path) -> None:
    for settings in ({"pruner": "median"}, {"pruner": "none", "sampler": "grid", "rungs": [0.5]}):
        with pytest.raises(ConfigError, match=r"milliseconds=true`: .*pruner=none"):
            SweepSettings(milliseconds=True, **settings).check()
    run_sweep(tmp_path, SweepSettings(trials=0), SPACE, [], lambda _: [])
    with pytest.raises(ConfigError, match="milliseconds was None"):
        run_sweep(tmp_path, SweepSettings(trials=0, milliseconds=True), SPACE, [], lambda _: [])


def test_a_checkpoint_s_encoder_is_timed(tmp_path: Path, data_settings) -> None:
    import torch

    from src.models.checkpoint import CARD, make_card
    from src.models.encoder import build_encoder

    settings = TrainSettings(
        name="test",
        seed=0,
        data=data_settings(),
        preprocessing=PreprocessingSpec(size=32, resize="squash"),
        model=EncoderSettings(backbone="resnet10t", backbone_kwargs={"channels": [8, 8, 16, 16]}),
        loss={"_target_": "pytorch_metric_learning.losses.TripletMarginLoss"},
        trainer=TrainerSettings(epochs=1),
    )
    card = make_card(settings)
    encoder = build_encoder(spec=settings.preprocessing, **card["model"])
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    torch.save({CARD: card, "state_dict": state}, tmp_path / "best.ckpt")
    assert 0 < milliseconds(tmp_path / "best.ckpt") < 1000
