"""What clicks and searches for confused items add to a training."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.contracts.settings.clicks import ClickSettings
from src.contracts.settings.neighbours import NeighbourSettings
from src.datamodules.catalogue_datamodule import CatalogueDataModule
from src.datamodules.click_pairs import ClickPairs, training_click_pairs
from src.datamodules.co_click_pairs import with_co_clicks
from src.datamodules.neighbourhood_sampler import NeighbourhoodSampler
from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet
from src.training.global_hard_negatives import GlobalHardNegatives

__all__ = ["click_neighbourhoods", "neighbour_searches", "read_click_pairs", "sampler_with_neighbourhoods"]


def read_click_pairs(catalogue: Catalogue, images: TrainingSet, clicks: ClickSettings) -> ClickPairs | None:
    """The pairs that the log in the catalogue's folder judges; None where clicks have no weight.

    Raises:
        TableError: there is no log or no file of pairs, or it does not match the schema.
        LookalikeError: the log is too short.
    """
    if clicks.weight == 0:
        return None
    events = _read(catalogue, "log", clicks.log, "name an interactions table, or set `clicks.weight=0`")
    pairs = training_click_pairs(events, catalogue, images, prior_looks=clicks.prior_looks, clip=clicks.clip)
    if not clicks.pairs:
        return pairs
    together = _read(catalogue, "pairs", clicks.pairs, "write it with `python -m src.pipelines.co_clicks`")
    return with_co_clicks(pairs, together, catalogue, images)


def _read(catalogue: Catalogue, setting: str, name: str, fix: str) -> pa.Table:
    path = catalogue.root / name
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"`clicks.{setting}={name}`: {path} cannot be read as Parquet ({error}); {fix}") from error


def click_neighbourhoods(pairs: ClickPairs, images: TrainingSet) -> Neighbourhoods:
    """Neighbours of each item: items that were clicked or passed over for its images, weighted by the judgement."""
    weights = np.abs(pairs.weights).astype(np.float64)
    return Neighbourhoods.of_pairs(images.items[pairs.images], pairs.items, weights, item_count=images.item_count)


def sampler_with_neighbourhoods(make: Callable[..., Any], neighbourhoods: Neighbourhoods | None) -> Callable[..., Any]:
    """A sampler's constructor with the neighbourhoods to begin with, if it has an argument of that name."""
    if neighbourhoods is None or "neighbourhoods" not in inspect.signature(make).parameters:
        return make
    return partial(make, neighbourhoods=neighbourhoods)


def neighbour_searches(
    datamodule: CatalogueDataModule,
    images: TrainingSet,
    *,
    neighbours: NeighbourSettings,
    lasting: Neighbourhoods | None,
    batch: int,
) -> list[lightning.Callback]:
    """The callback that searches for confused items; none where the settings or the sampler do without.

    Args:
        datamodule: the callback gives its sampler the neighbourhoods that it finds.
        images: the training split.
        neighbours: settings of the searches.
        lasting: neighbourhoods that are kept beside those found.
        batch: images embedded at once in a search.
    """
    if not neighbours.every or not isinstance(datamodule.sampler, NeighbourhoodSampler):
        return []
    search = GlobalHardNegatives(
        datamodule.sampler,
        images,
        datamodule.training_pixels,
        every=neighbours.every,
        first_epoch=neighbours.first_epoch,
        count=neighbours.count,
        skip=neighbours.skip,
        batch=batch,
        lasting=lasting,
    )
    return [search]
