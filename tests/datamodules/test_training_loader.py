"""Batches from any place in the epoch, each process its part."""

import pytest
import torch
from torch.utils.data import Dataset

from src.contracts.errors import ConfigError
from src.datamodules.training_loader import RankBatches, TrainingLoader


class Sampler:
    """Batches that tell their epoch and their place in it."""

    def __init__(self, size: int = 4) -> None:
        self.epoch, self.size = 0, size

    def __len__(self) -> int:
        return 5

    def __iter__(self):
        for place in range(5):
            yield [100 * self.epoch + 10 * place + n for n in range(self.size)]

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class Numbers(Dataset):
    def __getitem__(self, numbers: list[int]) -> torch.Tensor:
        return torch.tensor(numbers)


def make(*, workers: int = 0, **arguments: int) -> TrainingLoader:
    batches = RankBatches(Sampler(), **{"rank": 0, "world": 1, **arguments})
    return TrainingLoader(Numbers(), batches, num_workers=workers, multiprocessing_context="fork" if workers else None)


def places(loader: TrainingLoader) -> list[int]:
    return [int(batch[0]) for batch in loader]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_begins_where_it_is_told_and_the_next_is_whole(workers: int) -> None:
    loader = make(workers=workers, first=3)
    assert len(loader) == 5
    # As Lightning does it: the iterator first, then the epoch.
    iterator = iter(loader)
    loader.sampler.set_epoch(2)
    assert [int(batch[0]) for batch in iterator] == [230, 240]
    assert loader.given == 5
    loader.sampler.set_epoch(3)
    assert places(loader) == [300, 310, 320, 330, 340]


def test_the_place_is_that_of_the_last_batch_given_out() -> None:
    loader = make()
    assert loader.state_dict() == {"batches": 0}
    iterator = iter(loader)
    next(iterator), next(iterator)
    state = loader.state_dict()
    other = make()
    other.load_state_dict(state)
    assert places(other) == [int(batch[0]) for batch in iterator] == [20, 30, 40]
    # After an epoch, the next one begins at its beginning.
    other.load_state_dict(other.state_dict())
    assert places(other) == [0, 10, 20, 30, 40]


def test_each_process_takes_its_part_of_the_same_batch() -> None:
    parts = [list(make(rank=rank, world=2)) for rank in range(2)]
    assert [torch.cat(both).tolist() for both in zip(*parts, strict=True)] == list(Sampler())


def test_a_batch_that_cannot_be_parted_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a batch of 4 images cannot be divided among 3 processes: make `data\.p`"):
        list(make(world=3))
