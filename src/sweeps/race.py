"""A race: all trials train to a share of their epochs, those worse than the best are dropped, the others train on.

All that a race decides is a function of the queries that its trainings have written, and is recorded in `race.json`
before it is acted upon. So a race that was killed goes on behind the last training that ended.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from src.contracts.errors import LookalikeError
from src.contracts.settings.sweep import SweepSettings
from src.eval.runs import Run, check_comparable, open_run
from src.eval.training_log import learning_curve
from src.sweeps.elimination import differences_to_best, is_worse, level_of_a_test
from src.sweeps.race_record import Look, Race, Standing, read_race, write_race
from src.sweeps.study import ask, ended_trials, trial_numbers
from src.sweeps.trial_file import PRUNED_AT
from src.sweeps.trials import Job, Launch, objective, override, trial_folder, trial_labels

__all__ = ["run_race"]

log = logging.getLogger(__name__)


def run_race(
    study: optuna.Study,
    folder: Path,
    settings: SweepSettings,
    space: Mapping[str, BaseDistribution],
    wanted: int,
    launch: Launch,
) -> Race:
    """Run or continue a race.

    Args:
        study: of the sweep.
        folder: the sweep's; trial N trains in `trial-N/seed-S`.
        settings: of the sweep, with rungs.
        space: distribution of each searched key.
        wanted: number of trials.
        launch: trains jobs.

    Raises:
        LookalikeError: `settings.failures` trials failed in a row.
    """
    level = level_of_a_test(settings.risk, trials=wanted, looks=len(settings.rungs))
    race = read_race(folder, level=level)
    asked = [ask(study, settings, space) for _ in range(wanted - ended_trials(study))]
    numbers = trial_numbers(study)
    running = {numbers[trial.number]: trial for trial in asked}
    for rung, share in enumerate([*settings.rungs, 1.0]):
        if rung == len(race.looks) and running:
            _train(study, folder, settings, race, running, rung, share, launch)
            if running:
                race.looks.append(_look(folder, settings, sorted(running), share, level))
                write_race(folder, race)
                _tell(race.looks[-1], settings, trial_labels(study))
        if rung < len(race.looks):
            for each in race.looks[rung].standings:
                if each.dropped and each.trial in running:
                    _drop(study, running.pop(each.trial), each, len(settings.seeds))
    for number, trial in running.items():
        value, message = objective(folder, settings, number)
        if message is None:
            study.tell(trial, value)
        else:
            _fail(study, trial, number, message)
    return race


def _train(
    study: optuna.Study,
    folder: Path,
    settings: SweepSettings,
    race: Race,
    running: dict[int, optuna.Trial],
    rung: int,
    share: float,
    launch: Launch,
) -> None:
    """Train all trials of the race to a rung; a trial of which a training fails leaves `running`."""
    places = [(number, trial_folder(number, seed), seed) for number in running for seed in settings.seeds]
    todo = [each for each in places if race.reached.get(each[1], 0) <= rung]
    log.info("race: %d trials train to %.0f%% of their epochs", len(running), 100 * share)
    in_a_row = 0
    while todo:
        batch, todo = todo[: settings.parallel], todo[settings.parallel :]
        batch = [each for each in batch if each[0] in running]
        for _, place, _ in batch:
            # By it a launcher whose process was lost sees whether the training had ended; it is of the rung before.
            (folder / place / "metrics.json").unlink(missing_ok=True)
        messages = launch([_job(running[number], place, seed, share) for number, place, seed in batch]) if batch else []
        for (number, place, _), message in zip(batch, messages, strict=True):
            in_a_row = in_a_row + 1 if message else 0
            if message is None:
                race.reached[place] = rung + 1
            elif number in running:
                _fail(study, running.pop(number), number, message)
            if in_a_row >= settings.failures:
                raise LookalikeError(
                    f"{in_a_row} trainings failed in a row, so the race was stopped; the last: {message}. Fix it and "
                    f"start the sweep again in hydra.sweep.dir={folder}; failed trials count as trials"
                )
        write_race(folder, race)


def _job(trial: optuna.Trial, place: str, seed: int, share: float) -> Job:
    overrides = [override(key, value) for key, value in trial.params.items()]
    pause = [f"trainer.pause_at={share}"] if share < 1 else []
    return Job(place, [*overrides, f"seed={seed}", "trainer.resume=true", *pause])


def _look(folder: Path, settings: SweepSettings, numbers: list[int], share: float, level: float) -> Look:
    """Compare the trials; at the end nothing is dropped, since nothing would be saved."""
    runs = {number: _runs(folder, settings, number) for number in numbers}
    check_comparable([run for each in runs.values() for run in each], [settings.metric])
    values = [np.stack([run.values([settings.metric])[:, 0] for run in each]) for each in runs.values()]
    products = runs[numbers[0]][0].products()
    best, differences = differences_to_best(values, products, level=level)
    standings = []
    for number, value, found in zip(numbers, values, differences, strict=True):
        epochs = sum(_epochs(folder / trial_folder(number, seed)) for seed in settings.seeds)
        known = (found.value, found.low, found.high) if found and share < 1 else (None, None, None)
        dropped = found is not None and share < 1 and is_worse(found, level=level)
        standings.append(Standing(number, epochs, float(np.nanmean(value)), *known, dropped))
    return Look(share, numbers[best], sorted(standings, key=lambda each: (-each.value, each.trial)))


def _runs(folder: Path, settings: SweepSettings, number: int) -> list[Run]:
    return [open_run(str(folder / trial_folder(number, seed) / "validation")) for seed in settings.seeds]


def _epochs(run: Path) -> int:
    # The metric by which checkpoints are chosen is logged by every run.
    return int(max((epoch for epoch, _ in learning_curve(run, "recall@1")), default=0))


def _tell(look: Look, settings: SweepSettings, labels: Mapping[int, str]) -> None:
    values = {each.trial: each.value for each in look.standings}
    dropped = [each for each in look.standings if each.dropped]
    log.info(
        "race: at %.0f%%, %d of %d trials stay; the best: %s, %s %.4f",
        100 * look.share,
        len(values) - len(dropped),
        len(values),
        labels[look.best],
        settings.metric,
        values[look.best],
    )
    for each in dropped:
        ends = (each.difference, each.low, each.high)
        log.info("race: dropped %s: %.4f, %+.4f [%+.4f, %+.4f] to the best", labels[each.trial], each.value, *ends)


def _drop(study: optuna.Study, trial: optuna.Trial, standing: Standing, seeds: int) -> None:
    trial.set_user_attr(PRUNED_AT, standing.epochs // seeds)
    trial.set_user_attr(
        "message", f"{standing.difference:+.4f} [{standing.low:+.4f}, {standing.high:+.4f}] to the best"
    )
    study.tell(trial, state=TrialState.PRUNED)


def _fail(study: optuna.Study, trial: optuna.Trial, number: int, message: str) -> None:
    trial.set_user_attr("message", message)
    study.tell(trial, state=TrialState.FAIL)
    log.warning("trial %d failed: %s", number, message)
