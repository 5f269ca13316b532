"""Training batches of one process, which a resumed run continues within the epoch."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader, Dataset

from src.contracts.errors import ConfigError
from src.datamodules.batch_sampler import BatchSampler
from src.datamodules.prefetch import prefetched
from src.datamodules.training_set import Batch

__all__ = ["RankBatches", "TrainingLoader"]


class RankBatches:
    """One process's share of each batch, from any batch of the epoch on.

    Every process draws the whole batch and takes its share, of the same number of images, so that the gathered shares
    are the batch of a single process.
    """

    def __init__(self, sampler: BatchSampler, *, rank: int, world: int, first: int = 0) -> None:
        """Set the process, and the batch at which the first iteration starts.

        Args:
            sampler: draws the whole batches.
            rank: rank of this process.
            world: number of processes.
            first: number of batches to skip in the first epoch.
        """
        self._sampler, self._rank, self._world = sampler, rank, world
        self.first = first

    def __len__(self) -> int:
        """Batches in a whole epoch, wherever the next iteration starts."""
        return len(self._sampler)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next; Lightning calls this before each epoch."""
        self._sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's image numbers from batch `first` on; the next epoch is complete again."""
        first, self.first = self.first, 0
        for numbers in islice(self._sampler, first, None):
            if len(numbers) % self._world:
                raise ConfigError(
                    f"a batch of {len(numbers)} images cannot be divided among {self._world} processes: make `data.p` "
                    f"a multiple of `trainer.devices={self._world}`"
                )
            share = len(numbers) // self._world
            yield numbers[self._rank * share : (self._rank + 1) * share]


class TrainingLoader(DataLoader[Batch]):
    """A loader of whole batches that counts the batches of the epoch.

    Attributes:
        given: batches yielded in this epoch, skipped ones included.
    """

    def __init__(self, batches: Dataset[Batch], sampler: RankBatches, **arguments: Any) -> None:
        super().__init__(batches, batch_size=None, sampler=sampler, **arguments)
        self._numbers = sampler
        self.given = 0

    def __iter__(self) -> Any:
        """Yield batches, and count them.

        As a generator it draws nothing before the first batch is requested: Lightning creates the iterator before it
        sets the epoch, and worker processes would prefetch from the wrong one.
        """
        self.given = self._numbers.first
        batches = super().__iter__()
        # Worker processes prefetch by themselves.
        for batch in batches if self.num_workers else prefetched(batches):
            self.given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The position in the epoch; with it Lightning can resume a run within an epoch."""
        return {"batches": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration at this position."""
        self._numbers.first = state["batches"] % len(self._numbers)
