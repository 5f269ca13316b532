"""A sampler that repeats one batch, to see whether a network can learn it by heart."""

from collections.abc import Iterator

from src.datamodules.batch_sampler import BatchSampler

__all__ = ["FixedBatch"]


class FixedBatch:
    """A `BatchSampler` that yields the first batch of another one in each step of each epoch.

    Attributes:
        batch: the image numbers of the batch, in order.
    """

    def __init__(self, sampler: BatchSampler, *, steps: int) -> None:
        """Draw the batch.

        Args:
            sampler: draws it.
            steps: steps in an epoch.
        """
        sampler.set_epoch(0)
        self.batch = list(next(iter(sampler)))
        self._steps = steps

    def __len__(self) -> int:
        """Steps in an epoch."""
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batch."""
        for _ in range(self._steps):
            yield list(self.batch)

    def set_epoch(self, epoch: int) -> None:
        """Change nothing: all epochs are equal."""
