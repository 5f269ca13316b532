"""From a catalogue to batches: pixels, samplers, augmentation and the Lightning datamodule."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from src.datamodules.catalogue_datamodule import CatalogueDataModule, TrainingBatches
    from src.datamodules.item_batch_sampler import ItemBatchSampler
    from src.datamodules.pixel_cache import open_pixel_cache
    from src.datamodules.pk_sampler import PKSampler
    from src.datamodules.training_set import Batch, Facts, TrainingSet

__all__ = [
    "Batch",
    "CatalogueDataModule",
    "Facts",
    "ItemBatchSampler",
    "PKSampler",
    "TrainingBatches",
    "TrainingSet",
    "open_pixel_cache",
]

_MODULES = {
    "Batch": "training_set",
    "CatalogueDataModule": "catalogue_datamodule",
    "Facts": "training_set",
    "ItemBatchSampler": "item_batch_sampler",
    "PKSampler": "pk_sampler",
    "TrainingBatches": "catalogue_datamodule",
    "TrainingSet": "training_set",
    "open_pixel_cache": "pixel_cache",
}


def __getattr__(name: str) -> Any:
    # What reads pixels only needs neither torch nor Lightning.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
