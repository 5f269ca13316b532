"""How the contenders of a comparison were trained: differences of their configs, and learning curves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from src.eval.comparison import Contender
from src.eval.labels import distinguishing_labels
from src.eval.learning_curves import Curves, draw_learning_curves
from src.eval.training_log import config_differences, flat_config, learning_curve, training_choices, training_folder

__all__ = ["Trainings", "labelled", "read_trainings"]


@dataclass(frozen=True)
class Trainings:
    """Configs and learning curves of the contenders' trainings.

    Attributes:
        labels: the contenders'.
        differences: settings that differ, each with the contenders' values.
        curves: of the primary metric; None where nothing was logged.
    """

    labels: list[str]
    differences: list[tuple[str, list[str]]]
    curves: Curves | None


def labelled(contenders: Sequence[Contender]) -> list[Contender]:
    """Label contenders by what distinguishes their configs ("triplet, lr 3e-4"), unless their runs' names do.

    Labels stay as they are where a config is not known, or where two configs are equal.

    Args:
        contenders: of a comparison. Seeds of one method have one config, the first run's.
    """
    if all(each.label == each.runs[0].name for each in contenders):
        return [*contenders]
    folders = [training_folder(Path(each.runs[0].given)) for each in contenders]
    configs = [flat_config(folder) if folder else {} for folder in folders]
    choices = [training_choices(folder) if folder else {} for folder in folders]
    if all(choices):
        configs = [{**chosen, **config} for chosen, config in zip(choices, configs, strict=True)]
    labels = distinguishing_labels(configs)
    if not all(configs) or not all(labels) or len({*labels}) < len(labels):
        return [*contenders]
    return [replace(each, label=label) for each, label in zip(contenders, labels, strict=True)]


def read_trainings(contenders: Sequence[Contender], metric: str) -> Trainings:
    """Read configs and logs in the folders of the contenders' runs, or above them.

    Args:
        contenders: of the comparison. Seeds of one method have one config, the first run's.
        metric: the curves' metric.
    """
    folders = {each.label: [training_folder(Path(run.given)) for run in each.runs] for each in contenders}
    configs = [next((flat_config(folder) for folder in found if folder), {}) for found in folders.values()]
    curves = {label: [learning_curve(folder, metric) for folder in found if folder] for label, found in folders.items()}
    return Trainings([*folders], config_differences(configs), draw_learning_curves(metric, curves))
