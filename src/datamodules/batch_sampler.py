"""What draws the batches of an epoch."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

__all__ = ["BatchSampler"]


@runtime_checkable
class BatchSampler(Protocol):
    """Draws batches from its own seed and the epoch alone, so that each process of a run draws the same ones.

    `sampler(images, p=, k=, seed=)` is how the datamodule makes one; conf/sampler has the classes and their further
    arguments. The next epoch's batches are those of `set_epoch`, from the first one on.
    """

    def __len__(self) -> int:
        """Batches in an epoch."""

    def __iter__(self) -> Iterator[list[int]]:
        """Numbers of the images of each batch, of all processes together; the K images of an item stand together."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next."""
