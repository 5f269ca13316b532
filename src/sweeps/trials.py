"""Ask the study for trials, train them, and tell it the results, until enough trials have ended."""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from src.contracts.errors import LookalikeError
from src.contracts.settings.sweep import SweepSettings
from src.eval.evaluation import read_metrics
from src.eval.labels import distinguishing_labels
from src.sweeps.encoder_time import milliseconds
from src.sweeps.study import ask, counted_trials, ended_trials, trial_numbers
from src.sweeps.trial_file import PRUNED_AT, TrialFile, write_trial

__all__ = ["Job", "Launch", "objective", "override", "run_trials", "trial_folder", "trial_labels"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A training to launch.

    Attributes:
        folder: the run's, relative to the sweep's.
        overrides: without those that all trials share.
    """

    folder: str
    overrides: list[str]


Launch = Callable[[Sequence[Job]], list[str | None]]
"""Trains all jobs, and returns for each the message of its failure, or None."""


def run_trials(
    study: optuna.Study,
    folder: Path,
    settings: SweepSettings,
    space: Mapping[str, BaseDistribution],
    wanted: int,
    launch: Launch,
) -> None:
    """Run trials until `wanted` of the study have ended.

    A trial trains once for each seed: first the first seed of all trials of a batch, then the other seeds of those that
    were neither pruned nor failed. A failed trial is recorded with its message.

    Args:
        study: of the sweep.
        folder: the sweep's; trial N trains in `trial-N/seed-S`.
        settings: of the sweep.
        space: distribution of each searched key.
        wanted: number of trials.
        launch: trains jobs.

    Raises:
        LookalikeError: `settings.failures` trials failed in a row.
    """
    in_a_row = 0
    while (left := wanted - ended_trials(study)) > 0:
        batch = [ask(study, settings, space) for _ in range(min(settings.parallel, left))]
        failed = _first_seeds(study, folder, settings, batch, launch)
        pruned = {number for number in range(len(batch)) if _pruned_at(study, batch[number]) is not None}
        running = [n for n in range(len(batch)) if failed[n] is None and n not in pruned]
        others = [(n, seed) for n in running for seed in settings.seeds[1:]]
        if others:
            jobs = [_job(study, batch[n], seed) for n, seed in others]
            for (n, _), message in zip(others, launch(jobs), strict=True):
                failed[n] = failed[n] or message
        for n, trial in enumerate(batch):
            message = _end(study, folder, settings, trial, failed[n], n in pruned)
            in_a_row = in_a_row + 1 if message else 0
            if in_a_row >= settings.failures:
                raise LookalikeError(
                    f"{in_a_row} trials failed in a row, so the sweep was stopped; the last: {message}. Fix it and "
                    f"start the sweep again in hydra.sweep.dir={folder}; failed trials count as trials"
                )


def trial_folder(number: int, seed: int) -> str:
    """The folder of a trial with this number in the sweep (`trial_numbers`), relative to the sweep's folder."""
    return f"trial-{number:04d}/seed-{seed}"


def trial_labels(study: optuna.Study) -> dict[int, str]:
    """A label for each trial by its number in the sweep: its parameters that distinguish it, else its number."""
    trials = counted_trials(study)
    shown = [{key: override(key, value).partition("=")[2] for key, value in each.params.items()} for each in trials]
    labels = distinguishing_labels(shown)
    unique = len({*labels}) == len(labels)
    return {number: label if unique else f"trial {number}" for number, label in enumerate(labels)}


def override(key: str, value: Any) -> str:
    """`key=value` as an override; floats have four significant digits, so that they are easy to repeat."""
    return f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"


def objective(folder: Path, settings: SweepSettings, number: int) -> tuple[float, str | None]:
    """The mean of a trial's metric over seeds, or NaN and a message.

    Args:
        folder: the sweep's.
        settings: of the sweep.
        number: the trial's, in the sweep.
    """
    values = []
    for seed in settings.seeds:
        path = folder / trial_folder(number, seed) / "metrics.json"
        try:
            metrics = read_metrics(path)
        except json.JSONDecodeError:
            metrics = {}
        if settings.metric not in metrics:
            return math.nan, f"{path} has no {settings.metric}; it has {', '.join(metrics) or 'nothing'}"
        values.append(float(metrics[settings.metric]))
    mean = sum(values) / len(values)
    return mean, None if math.isfinite(mean) else f"{settings.metric} is {mean}"


def _job(study: optuna.Study, trial: optuna.Trial, seed: int) -> Job:
    overrides = [override(key, value) for key, value in trial.params.items()]
    # A trial that continues an interrupted one resumes from its last checkpoint.
    resume = ["trainer.resume=true"] if "again_for" in trial.user_attrs else []
    return Job(trial_folder(trial_numbers(study)[trial.number], seed), [*overrides, f"seed={seed}", *resume])


def _first_seeds(
    study: optuna.Study, folder: Path, settings: SweepSettings, batch: Sequence[optuna.Trial], launch: Launch
) -> list[str | None]:
    jobs = [_job(study, trial, settings.seeds[0]) for trial in batch]
    # Optuna takes no reports where there are two objectives.
    for job, trial in zip(jobs, batch, strict=True) if not settings.milliseconds else ():
        file = TrialFile(
            str(folder.resolve()), trial._trial_id, settings.metric, settings.pruner, settings.pruner_options
        )
        write_trial(folder / job.folder, file)
    return launch(jobs)


def _pruned_at(study: optuna.Study, trial: optuna.Trial) -> int | None:
    return study.get_trials(deepcopy=False)[trial.number].user_attrs.get(PRUNED_AT)


def _end(
    study: optuna.Study,
    folder: Path,
    settings: SweepSettings,
    trial: optuna.Trial,
    message: str | None,
    pruned: bool,
) -> str | None:
    """Tell the study the result of a trial; return the message where it failed."""
    shown = " ".join(override(key, value) for key, value in trial.params.items())
    number = trial_numbers(study)[trial.number]
    if message is None and pruned:
        study.tell(trial, state=TrialState.PRUNED)
        log.info("trial %d pruned: %s", number, shown)
        return None
    value = math.nan
    if message is None:
        value, message = objective(folder, settings, number)
    if message is not None:
        trial.set_user_attr("message", message)
        study.tell(trial, state=TrialState.FAIL)
        log.warning("trial %d failed: %s: %s", number, shown, message)
        return message
    if settings.milliseconds:
        spent = milliseconds(folder / trial_folder(number, settings.seeds[0]) / "checkpoints" / "best.ckpt")
        study.tell(trial, [value, spent])
        log.info("trial %d: %s %.4f, %.2f ms an image: %s", number, settings.metric, value, spent, shown)
        return None
    study.tell(trial, value)
    log.info("trial %d: %s %.4f (best %.4f): %s", number, settings.metric, value, study.best_value, shown)
    return None
