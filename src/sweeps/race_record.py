"""`race.json` in a sweep's folder: how far each training of a race is, and what was found at each look."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from src.contracts.atomic_file import write_atomically

__all__ = ["Look", "Race", "Standing", "read_race", "write_race"]

_FILE = "race.json"


@dataclass(frozen=True)
class Standing:
    """A trial at a look.

    Attributes:
        trial: its number in the sweep.
        epochs: that its trainings have taken so far, all seeds together.
        value: of the metric, the mean over seeds.
        difference: to the best, or None for the best and at the end.
        low: lower end of the difference's interval, or None.
        high: upper end, or None.
        dropped: whether the trial is worse than the best, and left the race.
    """

    trial: int
    epochs: int
    value: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    dropped: bool = False


@dataclass(frozen=True)
class Look:
    """A comparison of the trials that are in the race.

    Attributes:
        share: of the epochs that they have trained.
        best: number of the best trial.
        standings: of each trial, the best first.
    """

    share: float
    best: int
    standings: list[Standing]


@dataclass
class Race:
    """A race so far.

    Attributes:
        level: of each one-sided test; 1 - 2 * level is the confidence of the intervals.
        reached: by the folder of a training, how many rungs it has trained to.
        looks: one for each rung that is over, and one for the end.
    """

    level: float
    reached: dict[str, int] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Epochs that were trained, of all trials."""
        return sum({each.trial: each.epochs for look in self.looks for each in look.standings}.values())


def read_race(folder: Path, *, level: float) -> Race:
    """Read the race of a sweep's folder, or begin one."""
    path = folder / _FILE
    if not path.is_file():
        return Race(level)
    known = json.loads(path.read_text())
    looks = [
        Look(look["share"], look["best"], [Standing(**each) for each in look["standings"]]) for look in known["looks"]
    ]
    return Race(known["level"], known["reached"], looks)


def write_race(folder: Path, race: Race) -> None:
    """Write the file atomically."""
    write_atomically(folder / _FILE, json.dumps(asdict(race), indent=2) + "\n")
