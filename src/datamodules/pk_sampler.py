"""P x K batches: P items, K images of each."""

from collections.abc import Iterator

import numpy as np

from src.contracts.errors import ConfigError

__all__ = ["PKSampler"]


class PKSampler:
    """Batches of P items with K images each (Hermans, Beyer, Leibe: In Defense of the Triplet Loss, 2017).

    Each epoch goes through the items in a new order, as often as it takes to draw as many images as there are. An
    item's images come without repetition until they are used up. Where an item has images of several domains, its
    first images come from different domains: a batch then holds the pairs that matter, user photo and catalogue image.
    """

    def __init__(self, items: np.ndarray, domains: np.ndarray, *, p: int, k: int, seed: int) -> None:
        """Index the images.

        Args:
            items: number of each image's item: int64 of shape (images,).
            domains: number of each image's domain: int64 of shape (images,).
            p: items in a batch.
            k: images of each item.
            seed: with the epoch, it decides all draws.

        Raises:
            ConfigError: a batch needs more items than there are.
        """
        groups: dict[int, dict[int, list[int]]] = {}
        for row, (item, domain) in enumerate(zip(items.tolist(), domains.tolist(), strict=True)):
            groups.setdefault(item, {}).setdefault(domain, []).append(row)
        if p > len(groups):
            raise ConfigError(f"`data.p={p}`: a batch of {p} items is larger than the training set of {len(groups)}")
        self._groups = [[np.asarray(rows) for rows in group.values()] for group in groups.values()]
        self._p, self._k, self._seed = p, k, seed
        self._batches = max(1, len(items) // (p * k))
        self._epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._batches

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Yield P x K rows a batch, the K of an item together."""
        rng = np.random.default_rng([self._seed, self._epoch])
        order = np.empty(0, dtype=np.int64)
        for _ in range(self._batches):
            if len(order) < self._p:
                # The rest of the last round comes first; an item may not stand in one batch twice.
                rest, fresh = order, rng.permutation(len(self._groups))
                order = np.concatenate([rest, fresh[~np.isin(fresh, rest)], rest])
            chosen, order = order[: self._p], order[self._p :]
            yield [int(row) for item in chosen for row in self._draw(self._groups[item], rng)]

    def _draw(self, domains: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """K of one item's images, turn by turn from its domains."""
        shuffled = [rng.permutation(rows) for rows in domains]
        depth = max(len(rows) for rows in shuffled)
        turns = [rows[turn] for turn in range(depth) for rows in shuffled if turn < len(rows)]
        return np.resize(np.asarray(turns), self._k)
