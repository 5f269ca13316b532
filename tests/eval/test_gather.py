"""Pieces of several processes make one data set, in which each row counts once."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch.utils.data import DistributedSampler

from src.contracts.errors import LookalikeError
from src.eval.gather import gather_rows

ROWS, WORLD = 7, 2


def vectors_of(rows: torch.Tensor) -> torch.Tensor:
    return torch.stack([rows, rows**2, -rows], dim=1).float()


def embed_and_gather(rank: int, folder: str) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    try:
        sampler: DistributedSampler = DistributedSampler(range(ROWS), num_replicas=WORLD, rank=rank, shuffle=False)
        rows = torch.tensor(list(sampler))
        # Seven rows for two processes: one is repeated.
        assert len(rows) == 4
        joined = gather_rows(rows, vectors_of(rows), ROWS)
        # Processes that embedded unequally many.
        unequal = torch.arange(5) if rank == 0 else torch.arange(4, ROWS)
        again = gather_rows(unequal, vectors_of(unequal), ROWS)
        np.savez(Path(folder) / f"{rank}.npz", joined=joined, again=again)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_count_a_padded_row_once(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(embed_and_gather, args=(str(tmp_path),), nprocs=WORLD, start_method="spawn")
    expected = vectors_of(torch.arange(ROWS)).numpy()
    for rank in range(WORLD):
        with np.load(tmp_path / f"{rank}.npz") as saved:
            np.testing.assert_array_equal(saved["joined"], expected)
            np.testing.assert_array_equal(saved["again"], expected)


def test_one_process_orders_what_it_has() -> None:
    rows = torch.tensor([2, 0, 1, 2])
    np.testing.assert_array_equal(gather_rows(rows, vectors_of(rows), 3), vectors_of(torch.arange(3)).numpy())


@pytest.mark.parametrize("rows", [[0, 1], [0, 1, 3], [0, 1, 2, 3], []])
def test_a_row_that_nobody_embedded_is_an_error(rows: list[int]) -> None:
    with pytest.raises(LookalikeError, match="of 3 in the data set: each must be embedded by some process"):
        gather_rows(torch.tensor(rows, dtype=torch.int64), torch.zeros(len(rows), 2), 3)
