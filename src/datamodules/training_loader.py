"""Training batches that go on where a run was killed."""

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
    """One process's part of each batch, from any batch of the epoch on.

    Every process draws the whole batch and takes a part of it, the same number of images in each, so that gathered
    they are the batch of a single process.
    """

    def __init__(self, sampler: BatchSampler, *, rank: int, world: int, first: int = 0) -> None:
        """Say whose part, and where the first iteration begins.

        Args:
            sampler: draws the whole batches.
            rank: number of this process.
            world: processes.
            first: batches of the first epoch that are passed over.
        """
        self._sampler, self._rank, self._world = sampler, rank, world
        self.first = first

    def __len__(self) -> int:
        """Batches in an epoch, wherever in it the next iteration begins."""
        return len(self._sampler)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self._sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's numbers, from batch `first` on; the next epoch is a whole one again."""
        first, self.first = self.first, 0
        for numbers in islice(self._sampler, first, None):
            if len(numbers) % self._world:
                raise ConfigError(
                    f"a batch of {len(numbers)} images cannot be parted among {self._world} processes: make `data.p` "
                    f"a multiple of `trainer.devices={self._world}`"
                )
            share = len(numbers) // self._world
            yield numbers[self._rank * share : (self._rank + 1) * share]


class TrainingLoader(DataLoader[Batch]):
    """A loader of whole batches that knows its place in the epoch.

    Attributes:
        given: batches that were given out in this epoch, those before the first included.
    """

    def __init__(self, batches: Dataset[Batch], sampler: RankBatches, **arguments: Any) -> None:
        super().__init__(batches, batch_size=None, sampler=sampler, **arguments)
        self._numbers = sampler
        self.given = 0

    def __iter__(self) -> Any:
        """Yield batches, and count them.

        A generator: nothing is drawn before the first batch is asked for. Lightning makes the iterator before it names
        the epoch, and worker processes would fetch ahead from the wrong one.
        """
        self.given = self._numbers.first
        batches = super().__iter__()
        # Worker processes are ahead by themselves.
        for batch in batches if self.num_workers else prefetched(batches):
            self.given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The place, by which Lightning sees that a run can go on within an epoch."""
        return {"batches": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration begin there."""
        self._numbers.first = state["batches"] % len(self._numbers)
