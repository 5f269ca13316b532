"""The outcome of a sweep: its trials, the best one as a command line, and its uncertainty."""

import csv
import shlex
import warnings
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from src.contracts.atomic_file import atomic_file
from src.contracts.settings.sweep import SweepSettings
from src.sweeps.selection_bias import selection_bias_notes
from src.sweeps.study import counted_trials, trial_numbers
from src.sweeps.trial_file import PRUNED_AT
from src.sweeps.trials import override, trial_folder

__all__ = ["best_command", "importances", "print_outcome", "write_trials"]

_SHOWN = 20
_ENOUGH = 10
"""Fewest finished trials for which importances are computed."""


def write_trials(study: optuna.Study, path: Path) -> None:
    """Write the trials as CSV, atomically: number, folder, state, value, milliseconds, parameters, message."""
    trials = counted_trials(study)
    keys = sorted({key for trial in trials for key in trial.params})
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        objectives = ["value", "milliseconds"][: len(study.directions)]
        writer.writerow(["trial", "folder", "state", *objectives, *keys, "message"])
        for number, trial in enumerate(trials):
            values = [override(key, trial.params[key]).partition("=")[2] if key in trial.params else "" for key in keys]
            measured = trial.values or [""] * len(objectives)
            place = trial_folder(number, 0).partition("/")[0]
            writer.writerow([number, place, trial.state.name.lower(), *measured, *values, _note(trial)])


def print_outcome(study: optuna.Study, folder: Path, settings: SweepSettings, fixed: list[str]) -> None:
    """Print a table of the best trials, then the uncertainty of the best one and its command line."""
    console = Console()
    trials, numbers = counted_trials(study), trial_numbers(study)
    finished = sorted((trial for trial in trials if trial.state == TrialState.COMPLETE), key=_worst_last)
    others = [trial for trial in trials if trial.state in (TrialState.PRUNED, TrialState.FAIL)]
    table = Table(box=SIMPLE, pad_edge=False)
    for name in ("trial", settings.metric, *(["ms"] if settings.milliseconds else []), "parameters", ""):
        table.add_column(name)
    for trial in [*finished, *others][:_SHOWN]:
        values = trial.values if trial.state == TrialState.COMPLETE else None
        shown = [f"{values[0]:.4f}"] if values else [trial.state.name.lower()]
        if settings.milliseconds:
            shown.append(f"{values[1]:.2f}" if values else "")
        parameters = " ".join(override(key, value) for key, value in trial.params.items())
        table.add_row(str(numbers[trial.number]), *shown, parameters, _note(trial))
    console.print(table)
    states = [trial.state for trial in trials]
    counts = (
        f"{len(finished)} finished, {states.count(TrialState.PRUNED)} pruned, {states.count(TrialState.FAIL)} failed"
    )
    lines = [f"{counts}; all of them: {folder / 'trials.csv'}"]
    if finished:
        shares = importances(study)
        if shares:
            parts = ", ".join(f"{key} {share:.0%}" for key, share in shares.items())
            lines.append(f"share of the metric's variance by parameter (fANOVA): {parts}")
        lines += selection_bias_notes(folder, settings, [numbers[trial.number] for trial in finished], len(trials))
        lines += ["train the best again:", best_command(finished[0], fixed)]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def best_command(best: FrozenTrial, fixed: list[str]) -> str:
    """The command line that trains with a trial's parameters."""
    overrides = [each for each in fixed if not each.startswith(("sweep=", "+sweep="))]
    overrides += [override(key, value) for key, value in best.params.items()]
    return shlex.join(["python", "train.py", *overrides])


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of each parameter in the metric's variance (Hutter, Hoos, Leyton-Brown, 2014), the largest first.

    Empty where fewer than ten trials finished, or parameters or values do not vary.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    varied = len(finished[0].params) > 1 and len({trial.values[0] for trial in finished}) > 1 if finished else False
    if len(finished) < _ENOUGH or not varied:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
            target=lambda trial: trial.values[0],
        )


def _worst_last(trial: FrozenTrial) -> float:
    return -trial.values[0]


def _note(trial: FrozenTrial) -> str:
    if trial.state == TrialState.PRUNED:
        why = trial.user_attrs.get("message")
        return f"after epoch {trial.user_attrs.get(PRUNED_AT)}" + (f": {why}" if why else "")
    if trial.state == TrialState.FAIL:
        return str(trial.user_attrs.get("message", ""))
    return ""
