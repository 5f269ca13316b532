"""Read a training's config and logged metrics from its folder."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "EARLIER",
    "Point",
    "config_differences",
    "flat_config",
    "learning_curve",
    "training_choices",
    "training_folder",
]

Point = tuple[float, float]
"""Epoch, from 1, and value."""

_LOG = Path("log") / "metrics.csv"
EARLIER = "metrics-*.csv"
"""Beside `metrics.csv`: the log up to the point where a run was continued, numbered."""

_CONFIG = Path("log") / "hparams.yaml"
_HYDRA = Path(".hydra") / "hydra.yaml"
_NO_PART = ("callbacks", "debug", "experiment", "logger", "metric", "sweep")
"""Config groups that set others, or do not decide what is trained."""

_LEVELS = 3
_OWN = ("format", "method", "name", "seed")
"""Entries that identify the run and do not say how it was trained."""


def training_folder(given: Path) -> Path | None:
    """Find the folder of the training to which an evaluation belongs: the given one, or one above it.

    Args:
        given: folder or file of an evaluation.

    Returns:
        None where there is no such folder.
    """
    path = given.resolve()
    return next((folder for folder in (path, *path.parents[:_LEVELS]) if (folder / _LOG).is_file()), None)


def flat_config(folder: Path) -> dict[str, str]:
    """A training's resolved config by dotted names, without the entries that identify the run.

    Empty where the file is missing or not readable.
    """
    try:
        config = yaml.safe_load((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return {name: value for name, value in _flat(config, "") if name not in _OWN}


def training_choices(folder: Path) -> dict[str, str]:
    """The options of the config groups that a training was started with (`loss: triplet`).

    Empty where the training was not started by Hydra.
    """
    try:
        choices = yaml.safe_load((folder / _HYDRA).read_text(encoding="utf-8"))["hydra"]["runtime"]["choices"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return {name: str(value) for name, value in choices.items() if "/" not in name and name not in _NO_PART}


def config_differences(configs: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """The names whose values differ between the configs, in order, with each config's value.

    Args:
        configs: of `flat_config`. A missing value is shown as "not set", an empty config, which is unknown, as "?".
    """
    known = [config for config in configs if config]
    names = sorted({name for config in known for name in config})
    return [
        (name, [config.get(name, "not set") if config else "?" for config in configs])
        for name in names
        if len({config.get(name, "not set") for config in known}) > 1
    ]


def learning_curve(folder: Path, metric: str) -> list[Point]:
    """The values of a metric at each validation, in order; empty where it was not logged."""
    points: dict[float, float] = {}
    try:
        # A continued run starts a new file, and logs the validations after its last checkpoint again.
        for path in (*sorted((folder / _LOG.parent).glob(EARLIER)), folder / _LOG):
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    epoch, value = row.get("epoch"), row.get(f"val/{metric}")
                    if epoch and value and math.isfinite(float(value)):
                        points[float(epoch) + 1] = float(value)
    except (OSError, ValueError):
        return []
    return sorted(points.items())


def _flat(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        return [pair for key, part in value.items() for pair in _flat(part, f"{name}.{key}" if name else str(key))]
    return [(name, str(value))]
