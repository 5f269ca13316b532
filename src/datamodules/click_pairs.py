"""Judgements from an interactions log on pairs of training images and training items."""

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.catalog.catalogue import Catalogue
from src.catalog.clicks.impressions import read_impressions
from src.catalog.clicks.judgements import judge
from src.catalog.clicks.propensity import estimate_propensities
from src.datamodules.training_set import TrainingSet

__all__ = ["ClickPairs", "training_click_pairs"]

log = logging.getLogger(__name__)

_DEEPEST = 50
"""Deepest rank whose impressions are used: beyond it too few clicks determine the propensity."""


@dataclass(frozen=True)
class ClickPairs:
    """Query images, and items that were clicked or passed over for them. The arrays have shape (pairs,).

    Attributes:
        images: int64, number of the query image in the training set.
        items: int64, number of the item in the training set; never that of the image itself.
        weights: float32 from -1 to 1: above 0 clicked more than average, below 0 passed over. An item of the image's
            own product, a colour variant, is never below 0.
    """

    images: np.ndarray
    items: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        """Pairs."""
        return len(self.images)


def training_click_pairs(
    events: pa.Table, catalogue: Catalogue, images: TrainingSet, *, prior_looks: float, clip: float
) -> ClickPairs:
    """Judge the training items that were shown for training images.

    All other impressions are dropped first: propensities, averages and judgements do not depend on what customers did
    with images or items of the other splits.

    Args:
        events: an interactions table.
        catalogue: the catalogue of the log's image and item ids.
        images: the training set.
        prior_looks: see `judge`.
        clip: see `judge`.

    Raises:
        TableError: the log does not match the schema.
        LookalikeError: the log is too short to estimate propensities.
    """
    image_ids, item_ids = (catalogue.column(name, images.rows) for name in ("image_id", "item_id"))
    ours = pc.and_(
        pc.is_in(events["query_image_id"], pa.array(image_ids, pa.string())),
        pc.is_in(events["item_id"], pa.array(item_ids, pa.string())),
    )
    shown = read_impressions(events.filter(ours))
    deepest = min(int(shown.ranks.max(initial=1)), _DEEPEST)
    propensities = estimate_propensities(shown.pairs, shown.ranks, shown.clicked, deepest=deepest)
    judged = judge(shown, propensities, prior_looks=prior_looks, clip=clip)

    image_of = {image: number for number, image in enumerate(image_ids)}
    first_row = dict(zip(item_ids[::-1], range(len(images) - 1, -1, -1), strict=True))
    queries = np.array([image_of[name] for name in shown.query_ids], np.int64)[judged.queries]
    rows = np.array([first_row[name] for name in shown.item_ids], np.int64)[judged.items]
    weights = judged.positive - np.where(images.parents[rows] != images.parents[queries], judged.negative, 0)
    kept = (images.items[rows] != images.items[queries]) & (weights != 0)
    log.info(
        "clicks: %d impressions of training items for training images; %d pairs clicked, %d passed over",
        len(shown),
        (weights[kept] > 0).sum(),
        (weights[kept] < 0).sum(),
    )
    return ClickPairs(queries[kept], images.items[rows][kept], weights[kept].astype(np.float32))
