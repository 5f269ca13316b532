"""`trial.json` in a run's folder: the sweep's trial that it trains, to which it reports."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from src.contracts.atomic_file import write_atomically

__all__ = ["PRUNED_AT", "TrialFile", "read_trial", "write_trial"]

PRUNED_AT = "pruned_at"
"""Attribute of a trial that was pruned: the epoch, from 1."""

_FILE = "trial.json"


@dataclass(frozen=True)
class TrialFile:
    """The trial of a training.

    Attributes:
        sweep: the sweep's folder.
        trial_id: the trial's id in the study.
        metric: the metric to report after each validation, `val/METRIC`.
        pruner: its name.
        pruner_options: its further arguments.
    """

    sweep: str
    trial_id: int
    metric: str
    pruner: str
    pruner_options: dict[str, Any]


def write_trial(folder: Path, trial: TrialFile) -> None:
    """Write the file atomically."""
    write_atomically(folder / _FILE, json.dumps(asdict(trial), indent=2) + "\n")


def read_trial(folder: Path) -> TrialFile | None:
    """The trial that a run's folder belongs to, or None outside of a sweep."""
    path = folder / _FILE
    return TrialFile(**json.loads(path.read_text())) if path.is_file() else None
