"""The interface of samplers, which draw the batches of an epoch."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

__all__ = ["BatchSampler"]


@runtime_checkable
class BatchSampler(Protocol):
    """Draws batches from its own seed and the epoch alone, so that each process of a run draws the same ones.

    The datamodule makes one by `sampler(images, p=, k=, seed=)`; conf/sampler has the classes and their further
    arguments. Iteration yields the batches of the epoch that `set_epoch` chose, from the first one on.
    """

    def __len__(self) -> int:
        """Batches in an epoch."""

    def __iter__(self) -> Iterator[list[int]]:
        """Numbers of the images of each batch, of all processes together; the K images of an item are adjacent."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next."""
