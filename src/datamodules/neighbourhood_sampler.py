"""P x K batches around items that are taken for each other."""

from collections.abc import Iterator

import numpy as np

from src.contracts.errors import ConfigError
from src.datamodules.item_batch_sampler import ItemBatchSampler
from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet

__all__ = ["NeighbourhoodSampler"]


class NeighbourhoodSampler(ItemBatchSampler):
    """Batches of P items with K images each, in which some items bring neighbours of theirs.

    The first items of a batch are anchors, which take turns as a P x K sampler's items do; then each anchor in turn
    brings one of its neighbours, drawn by weight, until the batch is full. Where there are no neighbours left, further
    anchors fill it. What is drawn depends on the seed, the epoch and the neighbourhoods alone.

    Attributes:
        neighbourhoods: may be exchanged between epochs.
        neighbour_share: share of the items of the batches drawn in this epoch so far that a neighbour brought in; 0
            before the first.
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
            images: what to draw from.
            p: items in a batch.
            k: images of each item.
            seed: with the epoch, it decides all draws.
            share: of a batch's items, those that shall be neighbours; at least one is an anchor.
            neighbourhoods: of the items; None for none as yet.

        Raises:
            ConfigError: a batch needs more items than there are, or a share that cannot be.
        """
        super().__init__(images, p=p, k=k, seed=seed)
        if not 0 < share < 1:
            raise ConfigError(f"`sampler.share={share}`: a share of a batch's items, above 0 and below 1")
        self._anchors = max(1, round(p * (1 - share)))
        self.neighbourhoods = neighbourhoods or Neighbourhoods.none(len(self._images))
        self.neighbour_share = 0.0

    def _item_batches(self, rng: np.random.Generator) -> Iterator[list[int]]:
        waiting: list[int] = []
        brought = 0
        for batch in range(self._batches):
            chosen, waiting = self._next_anchors([], waiting, self._anchors, rng)
            neighbours = self._neighbours(chosen, rng)
            brought += len(neighbours)
            self.neighbour_share = brought / (self._p * (batch + 1))
            chosen, waiting = self._next_anchors([*chosen, *neighbours], waiting, self._p, rng)
            yield chosen

    def _next_anchors(
        self, chosen: list[int], waiting: list[int], size: int, rng: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """Fill up to `size` items from those that wait, and who waits then; who is there already goes on waiting."""
        chosen = list(chosen)
        while len(chosen) < size:
            taken = set(chosen)
            new = [item for item in waiting if item not in taken][: size - len(chosen)]
            chosen += new
            waiting = [item for item in waiting if item not in set(new)]
            if len(chosen) < size:
                waiting += [int(item) for item in rng.permutation(len(self._images)) if item not in set(waiting)]
        return chosen, waiting

    def _neighbours(self, anchors: list[int], rng: np.random.Generator) -> list[int]:
        """One of each anchor in turn, until the batch is full or none is left."""
        wanted = self._p - len(anchors)
        queues = []
        for anchor in anchors:
            found, weights = self.neighbourhoods.of(anchor)
            # Exponential times over weights: their order is that of draws by weight without putting back
            # (Efraimidis, Spirakis, 2006).
            queues.append(list(found[np.argsort(rng.exponential(size=len(found)) / weights)]))
        there = set(anchors)
        brought: list[int] = []
        while len(brought) < wanted and any(queues):
            for queue in queues:
                while queue and queue[0] in there:
                    queue.pop(0)
                if queue and len(brought) < wanted:
                    brought.append(int(queue.pop(0)))
                    there.add(brought[-1])
        return brought
