"""`trial.json` in a run's folder: which trial of which study it trains, so that it reports and may be pruned."""

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
    """What a training needs to know of its trial.

    Attributes:
        sweep: the sweep's folder.
        trial_id: the study's own number of the trial.
        metric: what is reported after each validation, as `val/METRIC`.
        pruner: its name.
        pruner_options: its further arguments.
    """

    sweep: str
    trial_id: int
    metric: str
    pruner: str
    pruner_options: dict[str, Any]


def write_trial(folder: Path, trial: TrialFile) -> None:
    """Write the file whole or not at all."""
    write_atomically(folder / _FILE, json.dumps(asdict(trial), indent=2) + "\n")


def read_trial(folder: Path) -> TrialFile | None:
    """The trial that a run's folder belongs to, or None outside of a sweep."""
    path = folder / _FILE
    return TrialFile(**json.loads(path.read_text())) if path.is_file() else None
