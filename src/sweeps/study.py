"""The Optuna study of a sweep's folder: created or continued; trials that a kill interrupted are queued again."""

import fcntl
import itertools
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution, distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from src.contracts.errors import ConfigError
from src.contracts.settings.sweep import SweepSettings

__all__ = [
    "JOURNAL",
    "NAME",
    "ask",
    "counted_trials",
    "ended_trials",
    "load_pruner",
    "locked_folder",
    "open_study",
    "storage_of",
    "trial_numbers",
    "wanted_trials",
]

JOURNAL = "study.journal"
"""The study's file in the sweep's folder: a log to which several processes append, on a network disk as well."""

NAME = "sweep"
"""The study's name in its file."""

_ABOUT = "about"
_AGAIN_FOR = "again_for"
"""Attribute of a trial that continues an interrupted one: Optuna's number of that one."""

_PRUNERS = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "halving": optuna.pruners.SuccessiveHalvingPruner,
    "none": optuna.pruners.NopPruner,
}
_SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
    "gp": optuna.samplers.GPSampler,
    # All combinations are queued, so that the sampler draws nothing.
    "grid": optuna.samplers.RandomSampler,
}


def open_study(
    folder: Path, settings: SweepSettings, space: Mapping[str, BaseDistribution], fixed: list[str]
) -> optuna.Study:
    """Open the folder's study, or create it.

    Trials that were running when the sweep was killed are marked as failed and queued again with their parameters;
    they continue in the same folders.

    Args:
        folder: the sweep's.
        settings: of the sweep.
        space: distribution of each searched key.
        fixed: overrides that all trials share.

    Raises:
        ConfigError: the folder holds a sweep with other settings, or sampler or pruner do not take their options.
    """
    _cut_incomplete_record(folder / JOURNAL)
    storage = storage_of(folder)
    pruner = load_pruner(settings.pruner, settings.pruner_options)
    directions = [StudyDirection.MAXIMIZE, *([StudyDirection.MINIMIZE] if settings.milliseconds else [])]
    study = optuna.create_study(
        storage=storage, study_name=NAME, directions=directions, load_if_exists=True, pruner=pruner
    )
    study.sampler = _sampler(settings, 0)
    about: dict[str, Any] = {
        "searched": {key: distribution_to_json(distribution) for key, distribution in space.items()},
        "overrides": fixed,
        "metric": settings.metric,
        "seeds": settings.seeds,
        "grid": settings.sampler == "grid",
    }
    if settings.rungs:
        # Its trials begin together, so that a race takes no further ones.
        about["race"] = {"rungs": settings.rungs, "risk": settings.risk, "trials": settings.trials}
    if settings.milliseconds:
        about["milliseconds"] = True
    known = study.user_attrs.get(_ABOUT)
    if known is None:
        if settings.sampler == "grid":
            _queue_grid(study, space)
        study.set_user_attr(_ABOUT, about)
    elif known != about:
        names = [name for name in {**about, **known} if known.get(name) != about.get(name)]
        changed = ", ".join(f"{name} was {known.get(name)!r}" for name in names)
        raise ConfigError(
            f"{folder}: holds another sweep ({changed}); use the same settings, or name another hydra.sweep.dir"
        )
    _queue_interrupted(study)
    return study


def ask(study: optuna.Study, settings: SweepSettings, space: Mapping[str, BaseDistribution]) -> optuna.Trial:
    """The next trial: one that is queued, or one that the sampler proposes.

    The sampler is seeded anew for each trial, by its number, so that a sweep that was killed and continued proposes
    what it would have proposed.
    """
    study.sampler = _sampler(settings, len({*trial_numbers(study).values()}))
    return study.ask(dict(space))


def wanted_trials(study: optuna.Study, settings: SweepSettings) -> int:
    """How many trials must end: as many as the settings ask for, or all combinations of a grid."""
    if settings.sampler != "grid":
        return settings.trials
    return len({*trial_numbers(study).values()})


def trial_numbers(study: optuna.Study) -> dict[int, int]:
    """The sweep's number of each trial by Optuna's number: it names its folder.

    A trial that continues an interrupted one has the number of that one, and does not count. So a sweep that was killed
    and continued has the numbers of one that was not.
    """
    numbers: dict[int, int] = {}
    new = 0
    for trial in study.get_trials(deepcopy=False):
        interrupted = trial.user_attrs.get(_AGAIN_FOR)
        numbers[trial.number] = new if interrupted is None else numbers[interrupted]
        new += interrupted is None
    return numbers


def counted_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials by their number in the sweep, without those that were interrupted and queued again."""
    numbers = trial_numbers(study)
    # Of several with one number the last one continues the others.
    last = {numbers[trial.number]: trial for trial in study.get_trials(deepcopy=False)}
    return [last[number] for number in sorted(last)]


def storage_of(folder: Path) -> JournalStorage:
    """The Optuna storage of a sweep's folder."""
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))


def ended_trials(study: optuna.Study) -> int:
    """How many trials have ended: finished, pruned, or failed and not queued again."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    return sum(trial.state in ended for trial in counted_trials(study))


def load_pruner(name: str, options: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    """A pruner by its name in `PRUNERS`."""
    # Epochs count from 1. The value after the first is too noisy to prune by.
    given = {"n_warmup_steps": 2, **options} if name == "median" else dict(options)
    try:
        return _PRUNERS[name](**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"`hydra.sweeper.pruner_options={dict(options)}`, pruner {name}: {error}") from error


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a sweep's folder: of two sweeps in one folder each would treat the other's trials as interrupted.

    Raises:
        ConfigError: another process has locked it.
    """
    descriptor = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(f"{folder}: a sweep is running there; wait for it, or name another hydra.sweep.dir") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _sampler(settings: SweepSettings, number: int) -> optuna.samplers.BaseSampler:
    options: dict[str, Any] = dict(settings.sampler_options)
    if settings.sampler == "tpe" and settings.parallel > 1:
        # Without it, trials that are proposed together have similar parameters.
        options.setdefault("constant_liar", True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            seed = int(np.random.SeedSequence([settings.sampler_seed, number]).generate_state(1)[0])
            sampler = _SAMPLERS[settings.sampler](seed=seed, **options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"`hydra.sweeper.sampler_options={options}`, {settings.sampler}: {error}") from error
    return sampler


def _queue_grid(study: optuna.Study, space: Mapping[str, BaseDistribution]) -> None:
    for values in itertools.product(*(_values(key, distribution) for key, distribution in space.items())):
        # A sweep that was killed here has queued some of them already.
        study.enqueue_trial(dict(zip(space, values, strict=True)), skip_if_exists=True)


def _values(key: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return [*distribution.choices]
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return [*range(distribution.low, distribution.high + 1, distribution.step)]
    raise ConfigError(f"`{key}`: a grid needs values that can be listed; write {key}=A,B,C")


def _queue_interrupted(study: optuna.Study) -> None:
    queued = {trial.user_attrs.get(_AGAIN_FOR) for trial in study.get_trials(deepcopy=False)}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # The trial is queued before it is marked as failed, so that a kill between the two does not lose it.
        if trial.number not in queued:
            # A kill while parameters were drawn leaves a trial with only some of those that were queued for it.
            parameters = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            # What it has reported is not reported again: it is resumed behind that.
            again = optuna.trial.create_trial(
                state=TrialState.WAITING,
                system_attrs={"fixed_params": parameters},
                user_attrs={**trial.user_attrs, _AGAIN_FOR: trial.number},
                intermediate_values=trial.intermediate_values,
            )
            study.add_trial(again)
        study.tell(trial.number, state=TrialState.FAIL)


def _cut_incomplete_record(journal: Path) -> None:
    """Remove a last line without a line end, which a kill or a full disk leaves, before more records are appended."""
    if not journal.is_file():
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        with journal.open("rb+") as file:
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
    finally:
        lock.release()
