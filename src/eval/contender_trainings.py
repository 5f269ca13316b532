"""How the contenders of a comparison were trained: differences of their configs, and learning curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.eval.comparison import Contender
from src.eval.learning_curves import Curves, draw_learning_curves
from src.eval.training_log import config_differences, flat_config, learning_curve, training_folder

__all__ = ["Trainings", "read_trainings"]


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
