"""A sampler: `sampler=my_sampler`."""

from collections.abc import Iterator

import numpy as np

from src.datamodules.item_batch_sampler import ItemBatchSampler

__all__ = ["WithReplacement"]


class WithReplacement(ItemBatchSampler):
    """The items of each batch are drawn anew; the base class draws K images of each."""

    def _item_batches(self, rng: np.random.Generator) -> Iterator[list[int]]:
        for _ in range(self._batches):
            yield rng.choice(len(self._images), self._p, replace=False).tolist()
