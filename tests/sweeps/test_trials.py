"""A sweep's logic over a study on disk, with an objective in the place of training."""

import csv
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings.sweep import SweepSettings
from src.sweeps.outcome import best_command, importances
from src.sweeps.study import JOURNAL, locked_folder, open_study, trial_numbers
from src.sweeps.sweep import run_sweep
from src.sweeps.trial_file import PRUNED_AT, read_trial
from src.sweeps.trials import Job

SPACE = {"optim.lr": FloatDistribution(1e-4, 1e-1, log=True), "loss": CategoricalDistribution(["triplet", "infonce"])}


def values(job: Job) -> dict[str, str]:
    return dict(override.split("=", 1) for override in job.overrides)


class Trainings:
    """Launches that write metrics.json at once: recall is `objective` of a job's overrides."""

    def __init__(self, folder: Path, objective: Callable[[dict[str, str]], float | str]) -> None:
        self.folder, self.objective, self.batches = folder, objective, []

    def __call__(self, jobs: Sequence[Job]) -> list[str | None]:
        self.batches.append(list(jobs))
        return [self._train(job) for job in jobs]

    def _train(self, job: Job) -> str | None:
        found = self.objective(values(job))
        if isinstance(found, str):
            return found
        folder = self.folder / job.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps({"recall@1": found}))
        return None

    @property
    def jobs(self) -> list[Job]:
        return [job for batch in self.batches for job in batch]


def sweep(folder: Path, objective, *, space=SPACE, fixed=("experiment=demo",), **settings):
    folder.mkdir(exist_ok=True)
    trainings = Trainings(folder, objective)
    asked = SweepSettings(**{"trials": 6, "sampler": "random", "pruner": "none", **settings})
    return run_sweep(folder, asked, space, list(fixed), trainings), trainings


def test_the_objective_is_the_mean_over_seeds_and_is_what_was_trained(tmp_path: Path, capsys) -> None:
    study, trained = sweep(
        tmp_path / "s", lambda given: float(given["optim.lr"]) + int(given["seed"]), seeds=[1, 2, 6], parallel=2
    )
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 6
    # First seeds together, so that pruning may spare the others.
    assert [len(batch) for batch in trained.batches] == [2, 4] * 3
    for trial in study.trials:
        assert trial.value == pytest.approx(trial.params["optim.lr"] + 3, abs=1e-4)
    assert {job.folder for job in trained.jobs} == {f"trial-{n:04d}/seed-{s}" for n in range(6) for s in (1, 2, 6)}
    # Only the first seed reports.
    first, other = (read_trial(tmp_path / "s" / "trial-0003" / f"seed-{seed}") for seed in (1, 2))
    assert first is not None
    assert (first.trial_id, first.metric, other) == (3, "recall@1", None)
    printed = capsys.readouterr().out
    assert "6 finished, 0 pruned, 0 failed" in printed
    assert "from 6 trials: the best value is optimistic" in printed
    with (tmp_path / "s" / "trials.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [float(row["value"]) for row in rows] == [trial.value for trial in study.trials]
    assert [row["optim.lr"] for row in rows] == [
        values(job)["optim.lr"] for job in trained.jobs if "seed-1" in job.folder
    ]


def test_a_trial_that_fails_is_recorded_and_the_sweep_goes_on(tmp_path: Path, capsys) -> None:
    def objective(given: dict[str, str]) -> float | str:
        if given["seed"] == "2" and given["loss"] == "triplet":
            return "the batch does not fit"
        return float("nan") if float(given["optim.lr"]) < 1e-3 else 0.5

    study, _ = sweep(tmp_path / "s", objective, seeds=[1, 2], trials=12, failures=12)
    ends = {(trial.state, trial.user_attrs.get("message")) for trial in study.trials}
    assert (TrialState.FAIL, "the batch does not fit") in ends
    assert (TrialState.FAIL, "recall@1 is nan") in ends
    assert (TrialState.COMPLETE, None) in ends
    assert len(study.trials) == 12
    assert "the batch does not fit" in (tmp_path / "s" / "trials.csv").read_text()
    assert "does not fit" in capsys.readouterr().out


def test_trials_that_all_fail_end_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match="3 trials failed in a row, so the sweep was stopped; the last: no such"):
        sweep(tmp_path / "s", lambda _: "no such data", failures=3)
    assert (tmp_path / "s" / "trials.csv").read_text().count("no such data") == 3


def test_a_metric_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match=r"metrics\.json has no recall@7; it has recall@1"):
        sweep(tmp_path / "s", lambda _: 0.5, metric="recall@7", failures=1)


KILLED = """
    import os, sys
    from pathlib import Path
    from optuna.distributions import FloatDistribution
    from src.contracts.settings.sweep import SweepSettings
    from src.sweeps.sweep import run_sweep

    folder, launched = Path(sys.argv[1]), []

    def launch(jobs):
        launched.append(jobs)
        if len(launched) == 2:
            os._exit(9)
        for job in jobs:
            (folder / job.folder / "metrics.json").write_text('{"recall@1": 0.25}')
        return [None for _ in jobs]

    settings = SweepSettings(trials=5, sampler="tpe", parallel=2)
    run_sweep(folder, settings, {"optim.lr": FloatDistribution(0.0, 1.0)}, [], launch)
"""


def test_a_killed_sweep_goes_on_and_runs_again_what_was_interrupted(tmp_path: Path, repository: Path, capsys) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder)]
    assert subprocess.run(command, cwd=repository, check=False).returncode == 9
    space = {"optim.lr": FloatDistribution(0.0, 1.0)}
    study, trained = sweep(folder, lambda _: 0.5, space=space, fixed=(), trials=5, sampler="tpe", parallel=2)
    trials = study.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2 + ["FAIL"] * 2 + ["COMPLETE"] * 3
    # The interrupted two were trained again with their parameters, and do not count.
    assert [trial.params for trial in trials[4:6]] == [trial.params for trial in trials[2:4]]
    assert [trial.user_attrs.get("again_for") for trial in trials[4:]] == [2, 3, None]
    # They go on where they were.
    assert [job.folder for job in trained.jobs] == ["trial-0002/seed-0", "trial-0003/seed-0", "trial-0004/seed-0"]
    assert ["trainer.resume=true" in job.overrides for job in trained.jobs] == [True, True, False]
    # No draw was repeated.
    assert len({trial.params["optim.lr"] for trial in trials}) == 5
    # Nor does the sweep look for anything else than one that was not killed.
    values = iter([0.25, 0.25, 0.5, 0.5, 0.5])
    sweep(tmp_path / "whole", lambda _: next(values), space=space, fixed=(), trials=5, sampler="tpe", parallel=2)
    assert (folder / "trials.csv").read_text() == (tmp_path / "whole" / "trials.csv").read_text()
    # More of the same sweep may be asked for.
    study, trained = sweep(folder, lambda _: 0.5, space=space, fixed=(), trials=7, sampler="tpe", parallel=2)
    assert len(trained.jobs) == 2
    assert "7 finished, 0 pruned, 0 failed" in capsys.readouterr().out


def test_a_grid_is_every_combination_once_and_continues(tmp_path: Path) -> None:
    space = {"data.k": IntDistribution(2, 6, step=2), "loss": CategoricalDistribution(["a", "b"])}

    def interrupted(given: dict[str, str]) -> float:
        if given["data.k"] == "4" and given["loss"] == "b":
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path / "s", interrupted, space=space, sampler="grid", trials=1)
    study, trained = sweep(tmp_path / "s", lambda _: 0.5, space=space, sampler="grid", trials=1)
    done = [trial.params for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert sorted((each["data.k"], each["loss"]) for each in done) == [(k, loss) for k in (2, 4, 6) for loss in "ab"]
    assert len(trained.jobs) == 3
    with pytest.raises(ConfigError, match="a grid needs values that can be listed"):
        sweep(tmp_path / "other", lambda _: 0.5, sampler="grid")


def test_a_folder_holds_one_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "s", lambda _: 0.5, trials=1)
    for change in ({"fixed": ("experiment=grocery",)}, {"seeds": [0, 1]}, {"space": {"optim.lr": SPACE["optim.lr"]}}):
        with pytest.raises(ConfigError, match=r"holds another sweep \((overrides|seeds|searched) was"):
            sweep(tmp_path / "s", lambda _: 0.5, **change)
    with locked_folder(tmp_path / "s"), pytest.raises(ConfigError, match="a sweep is running there"):
        sweep(tmp_path / "s", lambda _: 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": "tpe", "sampler_options": {"wings": 2}}, "sampler_options.*wings"),
        ({"pruner": "median", "pruner_options": {"wings": 2}}, "pruner_options.*wings"),
    ],
)
def test_options_that_optuna_does_not_take_are_named(tmp_path: Path, settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        open_study(tmp_path, SweepSettings(**settings), SPACE, [])


def test_settings_that_cannot_work_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        SweepSettings(trials=0, parallel=0, seeds=[1, 1], sampler="guess", pruner="axe").check()
    for part in ("trials=0", "parallel=0", "seeds=[1, 1]", "sampler=guess", "pruner=axe"):
        assert f"`hydra.sweeper.{part}`" in str(caught.value)


def test_a_pruned_trial_trains_no_further_seed(tmp_path: Path) -> None:
    folder = tmp_path / "s"

    def objective(given: dict[str, str]) -> float:
        if given["loss"] == "triplet":
            # As the training does it, from a process of its own.
            number = sorted(folder.glob("trial-*"))[-1].name
            trial = read_trial(folder / number / "seed-1")
            assert trial is not None
            study = optuna.load_study(study_name="sweep", storage=storage())
            optuna.trial.Trial(study, trial.trial_id).set_user_attr(PRUNED_AT, 1)
        return 0.5

    def storage():
        from src.sweeps.study import storage_of

        return storage_of(folder)

    study, trained = sweep(folder, objective, seeds=[1, 2], trials=8)
    for trial in study.trials:
        seeds = sum(job.folder.startswith(f"trial-{trial.number:04d}/") for job in trained.jobs)
        expected = (TrialState.PRUNED, 1) if trial.params["loss"] == "triplet" else (TrialState.COMPLETE, 2)
        assert (trial.state, seeds) == expected
    assert {trial.params["loss"] for trial in study.trials} == {"triplet", "infonce"}


def test_the_best_is_found_and_can_be_pasted(tmp_path: Path) -> None:
    study, _ = sweep(tmp_path / "s", lambda given: -abs(float(given["optim.lr"]) - 0.01), trials=12)
    best = max(study.trials, key=lambda trial: trial.value)
    command = best_command(best, ["experiment=demo", "sweep=study", "data.columns={a: b c}"])
    assert command == (
        f"python train.py experiment=demo 'data.columns={{a: b c}}' optim.lr={best.params['optim.lr']:.4g} "
        f"loss={best.params['loss']}"
    )
    shares = importances(study)
    assert next(iter(shares)) == "optim.lr"
    assert sum(shares.values()) == pytest.approx(1)
    few, _ = sweep(tmp_path / "few", lambda _: 0.5, trials=3)
    assert importances(few) == {}


def test_half_a_record_is_cut_off_and_the_study_goes_on(tmp_path: Path) -> None:
    study, _ = sweep(tmp_path / "s", lambda given: 0.5, trials=2)
    before = (tmp_path / "s" / JOURNAL).read_bytes()
    with (tmp_path / "s" / JOURNAL).open("ab") as file:
        file.write(before.splitlines()[-1][:20])
    for trials in (3, 4):
        study, _ = sweep(tmp_path / "s", lambda given: 0.5, trials=trials)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * trials
    assert (tmp_path / "s" / JOURNAL).read_bytes().startswith(before)


GRID = {"data.k": IntDistribution(2, 9)}


def test_a_grid_that_was_killed_while_queued_has_each_combination_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_study(tmp_path, SweepSettings(sampler="grid"), GRID, [])
    study, _ = sweep(tmp_path, lambda given: 0.5, space=GRID, fixed=(), sampler="grid")
    assert sorted(trial.params["data.k"] for trial in study.trials) == [*range(2, 10)]


def test_a_trial_that_was_killed_before_it_had_parameters_keeps_those_queued_for_it(tmp_path: Path) -> None:
    settings = SweepSettings(sampler="grid")
    study = open_study(tmp_path, settings, GRID, [])
    study.ask()
    study = open_study(tmp_path, settings, GRID, [])
    # Queued anew, and killed before the old one was closed.
    study.enqueue_trial({"data.k": 3}, user_attrs={"again_for": study.ask(GRID).number})
    study, _ = sweep(tmp_path, lambda given: 0.5, space=GRID, fixed=(), sampler="grid")
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert sorted((trial_numbers(study)[trial.number], trial.params["data.k"]) for trial in finished) == [
        *enumerate(range(2, 10))
    ]


def test_what_a_killed_trial_had_reported_is_known_to_the_one_that_continues_it(tmp_path: Path) -> None:
    study = open_study(tmp_path, SweepSettings(), SPACE, [])
    trial = study.ask(SPACE)
    trial.report(0.25, 1)
    trial.set_user_attr(PRUNED_AT, 1)
    again = open_study(tmp_path, SweepSettings(), SPACE, []).trials[1]
    assert (again.intermediate_values, again.user_attrs[PRUNED_AT]) == ({1: 0.25}, 1)
