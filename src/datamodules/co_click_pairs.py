"""Items that are clicked in the same sessions, as further positives of training images."""

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.datamodules.click_pairs import ClickPairs
from src.datamodules.training_set import TrainingSet

__all__ = ["with_co_clicks"]

log = logging.getLogger(__name__)

_COLUMNS = ("item_a", "item_b", "lift")


def with_co_clicks(judged: ClickPairs, together: pa.Table, catalogue: Catalogue, images: TrainingSet) -> ClickPairs:
    """Add pairs of items that are clicked together more often than by chance.

    Each image of one item likes the other item, with weight 1 - 1 / lift. Where the log judges an image and an item
    already, its judgement stays.

    Args:
        judged: what the log says.
        together: `item_a`, `item_b` and `lift` of pairs of items; pairs with items outside of the training set are left
            out.
        catalogue: of the items.
        images: the training set.

    Raises:
        TableError: there are no pairs, a column is missing or has another type, or a lift is null or not above 0.
    """
    missing = [name for name in _COLUMNS if name not in together.column_names]
    if missing:
        raise TableError(
            f"`clicks.pairs`: no column {', '.join(missing)}; `python -m src.pipelines.co_clicks` writes such a file"
        )
    lifts = together["lift"]
    if not pa.types.is_floating(lifts.type) or pc.all(pc.greater(lifts, 0), skip_nulls=False).as_py() is not True:
        raise TableError("`clicks.pairs`: column lift must hold numbers above 0, and one pair at least")
    number = dict(zip(catalogue.column("item_id", images.rows), images.items.tolist(), strict=True))
    numbers = [
        np.array([number.get(item, -1) for item in together[name].to_pylist()], np.int64)
        for name in ("item_a", "item_b")
    ]
    weights = 1 - 1 / lifts.to_numpy().astype(np.float64)
    kept = (numbers[0] >= 0) & (numbers[1] >= 0) & (numbers[0] != numbers[1]) & (weights > 0)
    first, second = (items[kept] for items in numbers)
    queries, liked = np.concatenate([first, second]), np.concatenate([second, first])
    order, starts, counts = _images_of_items(images)
    each = counts[queries]
    place = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    added = order[np.repeat(starts[queries], each) + place]
    items, values = np.repeat(liked, each), np.repeat(np.tile(weights[kept], 2), each).astype(np.float32)
    known = np.isin(added * images.item_count + items, judged.images * images.item_count + judged.items)
    log.info(
        "clicks: %d pairs of training items clicked together; %d pairs with images are new", len(first), (~known).sum()
    )
    return ClickPairs(
        np.concatenate([judged.images, added[~known]]),
        np.concatenate([judged.items, items[~known]]),
        np.concatenate([judged.weights, values[~known]]),
    )


def _images_of_items(images: TrainingSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images ordered by item; where each item's begin among these, and how many it has."""
    counts = np.bincount(images.items, minlength=images.item_count)
    return np.argsort(images.items, kind="stable"), np.cumsum(counts) - counts, counts
