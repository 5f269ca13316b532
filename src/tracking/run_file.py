"""`tracking.json` in a run's folder, by which an export finds the run of a checkpoint."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from src.contracts.atomic_file import write_atomically

__all__ = ["WandbRun", "read_run", "write_run"]

_FILE = "tracking.json"


@dataclass(frozen=True)
class WandbRun:
    """A run at Weights & Biases.

    Attributes:
        id: the run's.
        project: the run's.
        entity: the team or user; None for the account's default.
        name: displayed name.
        group: the method, equal for its seeds.
        offline: whether it was written to disk, to be uploaded later.
    """

    id: str
    project: str
    entity: str | None
    name: str
    group: str
    offline: bool


def write_run(folder: Path, run: WandbRun) -> None:
    """Write the file atomically."""
    write_atomically(folder / _FILE, json.dumps({"wandb": asdict(run)}, indent=2) + "\n")


def read_run(folder: Path) -> WandbRun | None:
    """Read the run of a folder; None where it was not tracked, or the file has another format."""
    try:
        return WandbRun(**json.loads((folder / _FILE).read_text())["wandb"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
