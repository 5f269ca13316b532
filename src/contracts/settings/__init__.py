"""The settings of the three command lines, as dataclasses that Hydra validates configs against.

Values that only YAML gives (conf/) are `MISSING` here, so that a config that forgets one is an error at compose.
"""

from src.contracts.settings.data import MISSING, DataSettings, ShopSettings, complete_data
from src.contracts.settings.encoder import EncoderSettings, LoraSettings
from src.contracts.settings.evaluate import GRADES, METRICS, EvaluateSettings
from src.contracts.settings.export import INDEX_LAYOUTS, ExportSettings, GateSettings, IndexSettings
from src.contracts.settings.objective import ObjectiveSettings
from src.contracts.settings.optim import OptimSettings
from src.contracts.settings.train import TrainSettings
from src.contracts.settings.trainer import TrainerSettings

__all__ = [
    "GRADES",
    "INDEX_LAYOUTS",
    "METRICS",
    "MISSING",
    "DataSettings",
    "EncoderSettings",
    "EvaluateSettings",
    "ExportSettings",
    "GateSettings",
    "IndexSettings",
    "LoraSettings",
    "ObjectiveSettings",
    "OptimSettings",
    "ShopSettings",
    "TrainSettings",
    "TrainerSettings",
    "complete_data",
]
