"""Add global hard negatives and clicks to a training."""

import lightning
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import nn

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.contracts.settings.clicks import ClickSettings
from src.contracts.settings.neighbours import NeighbourSettings
from src.datamodules.catalogue_datamodule import CatalogueDataModule
from src.datamodules.click_pairs import ClickPairs, training_click_pairs
from src.datamodules.neighbourhood_sampler import NeighbourhoodSampler
from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet
from src.losses.click_preference import ClickPreference
from src.miners.global_hard_negatives import GlobalHardNegatives

__all__ = ["add_hard_negatives", "click_neighbourhoods"]


def add_hard_negatives(
    objective: nn.Module,
    datamodule: CatalogueDataModule,
    catalogue: Catalogue,
    images: TrainingSet,
    *,
    clicks: ClickSettings,
    neighbours: NeighbourSettings,
    batch: int,
) -> tuple[nn.Module, list[lightning.Callback]]:
    """Add clicks to the objective, and clicks and global hard negatives to the sampler, as the settings say.

    Args:
        objective: the objective without clicks.
        datamodule: its sampler gets the neighbourhoods, if it is a `NeighbourhoodSampler`.
        catalogue: the catalogue, with the log in its folder.
        images: its training split.
        clicks: settings of the clicks.
        neighbours: settings of the global hard negatives.
        batch: images embedded at once in a search.

    Returns:
        The objective to train, and callbacks for the trainer.

    Raises:
        TableError: there is no log, or it does not match the schema.
        LookalikeError: the log is too short.
    """
    sampler = datamodule.sampler
    lasting = None
    if clicks.weight > 0:
        path = catalogue.root / clicks.log
        try:
            events = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise TableError(
                f"`clicks.log={clicks.log}`: {path} cannot be read as Parquet ({error}); name an interactions table, "
                "or set `clicks.weight=0`"
            ) from error
        pairs = training_click_pairs(events, catalogue, images, prior_looks=clicks.prior_looks, clip=clicks.clip)
        objective = ClickPreference(
            objective, pairs, item_count=images.item_count, weight=clicks.weight, temperature=clicks.temperature
        )
        lasting = click_neighbourhoods(pairs, images)
    if not isinstance(sampler, NeighbourhoodSampler):
        return objective, []
    if lasting is not None:
        sampler.neighbourhoods = lasting
    if not neighbours.every:
        return objective, []
    search = GlobalHardNegatives(
        sampler,
        images,
        datamodule.training_pixels,
        every=neighbours.every,
        first_epoch=neighbours.first_epoch,
        count=neighbours.count,
        skip=neighbours.skip,
        batch=batch,
        lasting=lasting,
    )
    return objective, [search]


def click_neighbourhoods(pairs: ClickPairs, images: TrainingSet) -> Neighbourhoods:
    """Neighbours of each item: items that were clicked or passed over for its images, weighted by the judgement."""
    weights = np.abs(pairs.weights).astype(np.float64)
    return Neighbourhoods.of_pairs(images.items[pairs.images], pairs.items, weights, item_count=images.item_count)
