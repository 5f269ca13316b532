"""Base class of the samplers: batches of P items with K images each."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from src.contracts.errors import ConfigError
from src.datamodules.item_images import draw_images, images_of_items
from src.datamodules.training_set import TrainingSet

__all__ = ["ItemBatchSampler"]


class ItemBatchSampler(ABC):
    """A `BatchSampler` whose batches hold P items with K images each; a subclass chooses the items.

    An epoch has as many batches as it takes to draw as many images as there are. All draws follow from the seed and the
    epoch, so that each process of a distributed run draws the same batches and takes its share of each.
    """

    def __init__(self, images: TrainingSet, *, p: int, k: int, seed: int) -> None:
        """Index the images.

        Args:
            images: the images to draw from.
            p: items in a batch.
            k: images of each item.
            seed: with the epoch, it decides all draws.

        Raises:
            ConfigError: a batch needs more items than there are.
        """
        self._images = images_of_items(images.items, images.domains)
        if p > len(self._images):
            raise ConfigError(
                f"`data.p={p}`: a batch of {p} items is larger than the training set of {len(self._images)}; lower it"
            )
        self._p, self._k, self._seed = p, k, seed
        self._batches = max(1, len(images) // (p * k))
        self._epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._batches

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next; Lightning calls this before each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Yield P x K rows for each batch; the K rows of an item are adjacent."""
        rng = np.random.default_rng([self._seed, self._epoch])
        for items in self._item_batches(rng):
            yield [int(row) for item in items for row in self._draw(item, rng)]

    @abstractmethod
    def _item_batches(self, rng: np.random.Generator) -> Iterator[list[int]]:
        """Yield the P items of each batch of an epoch, as numbers that `_draw` takes."""

    def _draw(self, item: int, rng: np.random.Generator) -> np.ndarray:
        """K rows of an item's images."""
        return draw_images(self._images[item], self._k, rng)
