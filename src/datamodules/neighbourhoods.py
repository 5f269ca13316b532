"""Each item's neighbours, with weights: items that should be in one batch."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Neighbourhoods"]


@dataclass(frozen=True)
class Neighbourhoods:
    """Neighbours of items 0 .. n - 1; those of item i lie from `starts[i]` to before `starts[i + 1]`.

    Attributes:
        starts: int64 of shape (items + 1,).
        items: int64 of shape (neighbours,), ascending for each item; never the item itself.
        weights: float64 of shape (neighbours,), above 0; proportional to the probability of being drawn.
    """

    starts: np.ndarray
    items: np.ndarray
    weights: np.ndarray

    @classmethod
    def of_pairs(
        cls, items: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, *, item_count: int
    ) -> "Neighbourhoods":
        """Sort pairs by item; the weights of repeated pairs are added.

        Args:
            items: int64 of shape (pairs,).
            neighbours: int64 of shape (pairs,).
            weights: float of shape (pairs,), above 0.
            item_count: number of items.
        """
        keys, place = np.unique(items * item_count + neighbours, return_inverse=True)
        owners = keys // max(item_count, 1)
        starts = np.searchsorted(owners, np.arange(item_count + 1)).astype(np.int64)
        return cls(starts, keys - owners * item_count, np.bincount(place, weights, minlength=len(keys)))

    @classmethod
    def none(cls, item_count: int) -> "Neighbourhoods":
        """Neighbourhoods in which no item has a neighbour."""
        nothing = np.empty(0, np.int64)
        return cls.of_pairs(nothing, nothing, nothing.astype(np.float64), item_count=item_count)

    def __len__(self) -> int:
        """Items."""
        return len(self.starts) - 1

    def of(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        """An item's neighbours and their weights."""
        mine = slice(self.starts[item], self.starts[item + 1])
        return self.items[mine], self.weights[mine]

    def with_others(self, others: "Neighbourhoods") -> "Neighbourhoods":
        """Merge two neighbourhoods; the weights of an item have the same sum in each of the two."""
        owners, items, weights = [], [], []
        for part in (self, others):
            owner = np.repeat(np.arange(len(part)), np.diff(part.starts))
            sums = np.bincount(owner, part.weights, minlength=len(part))
            owners.append(owner)
            items.append(part.items)
            weights.append(part.weights / sums[owner])
        joined = (np.concatenate(parts) for parts in (owners, items, weights))
        return Neighbourhoods.of_pairs(*joined, item_count=len(self))
