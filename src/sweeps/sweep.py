"""Run a sweep in its folder."""

from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution

from src.contracts.settings.sweep import SweepSettings
from src.sweeps.front import write_front
from src.sweeps.outcome import print_outcome, write_trials
from src.sweeps.race import run_race
from src.sweeps.race_report import write_race_report
from src.sweeps.study import locked_folder, open_study, wanted_trials
from src.sweeps.trials import Launch, run_trials

__all__ = ["run_sweep"]


def run_sweep(
    folder: Path,
    settings: SweepSettings,
    space: Mapping[str, BaseDistribution],
    fixed: list[str],
    launch: Launch,
) -> optuna.Study:
    """Run or continue the sweep of a folder; print its trials and write them to `trials.csv`.

    Args:
        folder: the sweep's.
        settings: checked.
        space: distribution of each searched key.
        fixed: overrides that all trials share.
        launch: trains jobs.

    Raises:
        ConfigError: the folder holds another sweep, or one is running there.
        LookalikeError: too many trials failed in a row.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with locked_folder(folder):
        study = open_study(folder, settings, space, fixed)
        try:
            run = run_race if settings.rungs else run_trials
            run(study, folder, settings, space, wanted_trials(study, settings), launch)
        finally:
            write_trials(study, folder / "trials.csv")
        print_outcome(study, folder, settings, fixed)
        if settings.rungs:
            write_race_report(study, folder, settings)
        if settings.milliseconds:
            write_front(study, folder, settings)
    return study
