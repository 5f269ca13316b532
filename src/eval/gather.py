"""Gather what processes have of the rows of one data set, each row once."""

import numpy as np
import torch
import torch.distributed
from torch import Tensor

from src.contracts.errors import LookalikeError

__all__ = ["gather_rows"]


def gather_rows(rows: Tensor, vectors: Tensor, total: int) -> np.ndarray:
    """Join the vectors of all processes in the order of the rows.

    A `DistributedSampler` repeats rows until all processes have equally many; here each row is taken once, from the
    first process that has it. All processes must call this; without a process group it sorts the given vectors.

    Args:
        rows: int64 of shape (embedded here,): the row in the data set of each vector.
        vectors: of shape (embedded here, dim), of one type in all processes.
        total: number of rows in the data set.

    Returns:
        Of shape (total, dim) and the type of `vectors`, the same in every process.

    Raises:
        LookalikeError: a row that no process embedded, or one outside the data set.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rows, vectors = (_gather(tensor) for tensor in (rows, vectors))
    found, first = np.unique(rows.cpu().numpy(), return_index=True)
    if not np.array_equal(found, np.arange(total)):
        raise LookalikeError(
            f"{len(found)} different rows were embedded, from {found.min(initial=0)} to {found.max(initial=0)}, of "
            f"{total} in the data set: each must be embedded by some process"
        )
    joined: np.ndarray = vectors.cpu().numpy()[first]
    return joined


def _gather(tensor: Tensor) -> Tensor:
    """Concatenate the tensors of all processes, whose first dimensions may differ."""
    sizes = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(sizes, torch.tensor([len(tensor)], device=tensor.device))
    longest = max(int(size) for size in sizes)
    padded = tensor.new_zeros((longest, *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in sizes]
    torch.distributed.all_gather(parts, padded)
    return torch.cat([part[: int(size)] for part, size in zip(parts, sizes, strict=True)])
