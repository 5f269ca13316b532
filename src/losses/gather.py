"""The batches of all processes as one, with gradients."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.datamodules.training_set import Facts

__all__ = ["gather_batch"]


class _Gather(torch.autograd.Function):
    """All processes' rows, in the order of the processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        return _all(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Each process has the whole loss. Summed here, and divided by their number when gradients are averaged over
        # processes, the gradient is that of one loss, for the encoder as for weights of the loss itself.
        gradient = gradients[0].contiguous()
        torch.distributed.all_reduce(gradient)
        start = torch.distributed.get_rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def gather_batch(
    embeddings: Float[Tensor, "share dim"], facts: Facts
) -> tuple[Float[Tensor, "batch dim"], Facts]:  # fmt: skip
    """Join what the processes embedded, so that each has the loss of the whole batch.

    Averaged over processes, as `DistributedDataParallel` does, the gradients are those of one process that has the
    whole batch. A gather without gradients would need the loss times the number of processes, and would give weights
    of the loss another learning rate than those of the encoder.

    Args:
        embeddings: this process's; all processes have equally many.
        facts: of the same images.

    Returns:
        The whole batch, in the order of the processes; without a process group, the arguments.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return embeddings, facts
    gathered: Tensor = _Gather.apply(embeddings)
    # One exchange for all columns: (fact, image) -> (image, fact), so that processes stand after one another.
    columns = _all(torch.stack(facts, dim=1))
    return gathered, Facts(*columns.unbind(dim=1))


def _all(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
