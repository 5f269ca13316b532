"""A race on planted trials: trainings are written at once, in the place of being made."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings.sweep import SweepSettings
from src.eval.compare import main as compare
from src.sweeps.race_record import read_race
from src.sweeps.sweep import run_sweep
from src.sweeps.trials import Job
from tests.sweeps.test_selection_bias import evaluated

EPOCHS = 8
NOISE = {"good": 0.8, "twin": 0.8, "fair": 2.0, "poor": 4.0}
SPACE = {"loss": CategoricalDistribution(["poor", "good", "fair", "twin"])}


class Trainings:
    """Launches that write what a training to its pause would; each may be killed before a job."""

    def __init__(self, folder: Path, kill_at: int = -1, failing: Sequence[str] = ()) -> None:
        self.folder, self.kill_at, self.failing, self.jobs = folder, kill_at, failing, []

    def __call__(self, jobs: Sequence[Job]) -> list[str | None]:
        return [self._train(job) for job in jobs]

    def _train(self, job: Job) -> str | None:
        given = dict(override.split("=", 1) for override in job.overrides)
        if len(self.jobs) == self.kill_at:
            raise KeyboardInterrupt
        assert given["trainer.resume"] == "true"
        epoch = int(EPOCHS * float(given.get("trainer.pause_at", 1)))
        self.jobs.append((given["loss"], int(given["seed"]), epoch))
        if given["loss"] in self.failing:
            return "out of memory"
        run = self.folder / job.folder
        assert not (run / "metrics.json").exists(), "the rung before would be taken for this one"
        # Training longer makes all of them better.
        loss, seed = given["loss"], 10 * [*NOISE].index(given["loss"]) + int(given["seed"])
        evaluated(run, NOISE[loss] * (1 + 0.2 / epoch), seed, method=loss)
        (run / "metrics.json").write_text(json.dumps({"recall@1": 0.5 if given["loss"] == "good" else 0.25}))
        (run / "log").mkdir(exist_ok=True)
        (run / "log" / "metrics.csv").write_text(f"epoch,val/recall@1\n{epoch - 1},0.5\n")
        return None


def race(folder: Path, *, kill_at: int = -1, failing: Sequence[str] = (), space=SPACE, **settings):
    folder.mkdir(exist_ok=True)
    trainings = Trainings(folder, kill_at, failing)
    asked = SweepSettings(**{"sampler": "grid", "pruner": "none", "rungs": [0.25, 0.5], **settings})
    asked.check()
    return run_sweep(folder, asked, space, ["experiment=demo"], trainings), trainings.jobs


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_what_is_worse_is_dropped_and_what_cannot_be_told_from_the_best_trains_on(
    tmp_path: Path, capsys, seeds: list[int]
) -> None:
    study, jobs = race(tmp_path / "s", seeds=seeds)
    states = {trial.params["loss"]: trial.state for trial in study.trials}
    assert states["good"] == states["twin"] == TrialState.COMPLETE
    assert states["poor"] == states["fair"] == TrialState.PRUNED
    # Dropped at the first look, they train no further.
    assert {epoch for loss, _, epoch in jobs if loss == "poor"} == {2}
    assert [epoch for loss, seed, epoch in jobs if (loss, seed) == ("good", 0)] == [2, 4, 8]
    record = read_race(tmp_path / "s", level=0)
    # One-sided, for three others at two looks.
    assert record.level == pytest.approx(0.05 / 6)
    assert record.epochs == sum({(loss, seed): epoch for loss, seed, epoch in jobs}.values())
    printed = capsys.readouterr().out
    assert f"{record.epochs} epochs trained of {4 * 8 * len(seeds)} (" in printed
    assert "2 finished, 2 pruned, 0 failed" in printed
    assert "from 4 trials: the best value is optimistic" in printed
    (command,) = (line for line in printed.splitlines() if line.startswith("python train.py"))
    assert "loss=good" in command
    assert ("its training's bad luck" in printed) == (len(seeds) == 1)
    with (tmp_path / "s" / "trials.csv").open() as file:
        poor = next(row for row in csv.DictReader(file) if row["loss"] == "poor")
    low, high = poor["message"].partition("[")[2].partition("]")[0].split(", ")
    assert poor["message"].startswith("after epoch 2: -0.")
    assert float(low) < float(high) < 0
    page, text = ((tmp_path / "s" / name).read_text() for name in ("race.html", "race.md"))
    assert page.count("<polyline") == 4
    assert "| 0 | poor |" in text
    assert "dropped: -0." in text
    # The trainings that stayed are runs like others.
    (tmp_path / "s" / "multirun.yaml").touch()
    compare([str(tmp_path / "s"), "--metrics", "recall@1", "--resamples", "200"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, int, int]]]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, race(folder)[1]


@pytest.mark.parametrize("kill_at", [0, 3, 4, 7, None])
def test_a_race_that_is_killed_ends_as_one_that_is_not(tmp_path: Path, whole, kill_at: int | None) -> None:
    folder, expected = whole
    assert [epoch for *_, epoch in expected] == [2] * 4 + [4] * 2 + [8] * 2
    if kill_at is None:
        race(tmp_path)
    else:
        with pytest.raises(KeyboardInterrupt):
            race(tmp_path, kill_at=kill_at)
    _, jobs = race(tmp_path)
    # Nothing that was trained is trained again.
    assert jobs == ([] if kill_at is None else expected[kill_at:])
    for name in ("trials.csv", "race.md", "race.html"):
        assert (tmp_path / name).read_text() == (folder / name).read_text()


def test_a_trial_that_fails_leaves_the_race(tmp_path: Path, capsys) -> None:
    study, jobs = race(tmp_path / "s", failing=["good"], seeds=[0, 1])
    assert [(loss, seed) for loss, seed, _ in jobs if loss == "good"] == [("good", 0)]
    assert next(trial for trial in study.trials if trial.params["loss"] == "good").state == TrialState.FAIL
    assert "1 failed" in capsys.readouterr().out
    with pytest.raises(LookalikeError, match=r"2 trainings failed in a row.*out of memory"):
        race(tmp_path / "t", failing=[*NOISE], failures=2)


def test_a_race_is_not_another_one(tmp_path: Path) -> None:
    race(tmp_path / "s")
    for change in ({"risk": 0.1}, {"rungs": [0.5]}, {"rungs": []}):
        with pytest.raises(ConfigError, match=r"holds another sweep \(race was"):
            race(tmp_path / "s", **change)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rungs": [0.5, 0.25]}, r"rungs=\[0.5, 0.25\]`: shares above 0"),
        ({"rungs": [0.5, 1.0]}, r"rungs=\[0.5, 1.0\]`: shares above 0"),
        ({"risk": 0.0}, "risk=0.0`: must be above 0"),
        ({"sampler": "tpe"}, "sampler=tpe`: .* set grid or random"),
        ({"pruner": "median"}, "pruner=median`: .* set none"),
    ],
)
def test_settings_that_cannot_race_are_named(tmp_path: Path, settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        race(tmp_path, **settings)
