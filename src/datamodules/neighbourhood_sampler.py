"""P x K batches in which part of the items are neighbours of others: items that the encoder confuses."""

from collections.abc import Iterator

import numpy as np

from src.contracts.errors import ConfigError
from src.datamodules.item_batch_sampler import ItemBatchSampler
from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet

__all__ = ["NeighbourhoodSampler"]


class NeighbourhoodSampler(ItemBatchSampler):
    """Batches of P items with K images each, in which some items are neighbours of others.

    The first items of a batch are anchors, chosen in rounds like a P x K sampler's items. Then one neighbour of each
    anchor in turn, drawn by weight, is added until the batch is full. Where no neighbours are left, further anchors
    fill the batch. The draws depend on the seed, the epoch and the neighbourhoods only.

    Attributes:
        neighbourhoods: may be replaced between epochs.
        neighbour_share: share of neighbours among the items drawn in this epoch so far; 0 before the first batch.
    """

    def __init__(
        self,
        images: TrainingSet,
        *,
        p: int,
        k: int,
        seed: int,
        share: float,
        neighbourhoods: Neighbourhoods | None = None,
    ) -> None:
        """Index the images.

        Args:
            images: the images to draw from.
            p: items in a batch.
            k: images of each item.
            seed: with the epoch, it decides all draws.
            share: share of neighbours among a batch's items; at least one item is an anchor.
            neighbourhoods: of the items; None for none.

        Raises:
            ConfigError: a batch needs more items than there are, or `share` is out of range.
        """
        super().__init__(images, p=p, k=k, seed=seed)
        if not 0 < share < 1:
            raise ConfigError(f"`sampler.share={share}`: a share of a batch's items, above 0 and below 1")
        self._anchors = max(1, round(p * (1 - share)))
        self.neighbourhoods = neighbourhoods or Neighbourhoods.none(len(self._images))
        self.neighbour_share = 0.0

    def _item_batches(self, rng: np.random.Generator) -> Iterator[list[int]]:
        queue: list[int] = []
        added = 0
        for batch in range(self._batches):
            chosen, queue = self._next_anchors([], queue, self._anchors, rng)
            neighbours = self._neighbours(chosen, rng)
            added += len(neighbours)
            self.neighbour_share = added / (self._p * (batch + 1))
            chosen, queue = self._next_anchors([*chosen, *neighbours], queue, self._p, rng)
            yield chosen

    def _next_anchors(
        self, chosen: list[int], queue: list[int], size: int, rng: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """Add anchors from the queue up to `size` items; an item that is chosen already stays in the queue.

        Returns:
            The chosen items, and the remaining queue.
        """
        chosen = list(chosen)
        while len(chosen) < size:
            taken = set(chosen)
            new = [item for item in queue if item not in taken][: size - len(chosen)]
            chosen += new
            queue = [item for item in queue if item not in set(new)]
            if len(chosen) < size:
                queue += [int(item) for item in rng.permutation(len(self._images)) if item not in set(queue)]
        return chosen, queue

    def _neighbours(self, anchors: list[int], rng: np.random.Generator) -> list[int]:
        """One neighbour of each anchor in turn, until the batch is full or none is left."""
        wanted = self._p - len(anchors)
        queues = []
        for anchor in anchors:
            found, weights = self.neighbourhoods.of(anchor)
            # Exponential numbers divided by weights are ordered like draws by weight without replacement
            # (Efraimidis, Spirakis, 2006).
            queues.append(list(found[np.argsort(rng.exponential(size=len(found)) / weights)]))
        taken = set(anchors)
        added: list[int] = []
        while len(added) < wanted and any(queues):
            for queue in queues:
                while queue and queue[0] in taken:
                    queue.pop(0)
                if queue and len(added) < wanted:
                    added.append(int(queue.pop(0)))
                    taken.add(added[-1])
        return added
