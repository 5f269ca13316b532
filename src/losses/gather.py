"""Gather the batches of all processes into one, with gradients."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.datamodules.training_set import Facts

__all__ = ["gather_batch"]


class _Gather(torch.autograd.Function):
    """Concatenates all processes' rows, in the order of the processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        return _all(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Each process computes the loss of the whole batch. The gradients are summed here, and divided by the number of
        # processes when DDP averages them: the result is the gradient of one loss, for all weights.
        gradient = gradients[0].contiguous()
        torch.distributed.all_reduce(gradient)
        start = torch.distributed.get_rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def gather_batch(
    embeddings: Float[Tensor, "share dim"], facts: Facts
) -> tuple[Float[Tensor, "batch dim"], Facts]:  # fmt: skip
    """Join the embeddings of all processes, so that each computes the loss of the whole batch.

    Averaged over processes, as `DistributedDataParallel` does, the gradients equal those of one process with the whole
    batch. A gather without gradients would need the loss multiplied by the number of processes, which would change the
    learning rate of the loss's own weights.

    Args:
        embeddings: this process's; all processes must have the same number.
        facts: of the same images.

    Returns:
        The whole batch, in the order of the processes; without a process group, the arguments.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return embeddings, facts
    gathered: Tensor = _Gather.apply(embeddings)
    # One all-gather for all columns: (fact, image) -> (image, fact), which concatenates along the images.
    columns = _all(torch.stack(facts, dim=1))
    return gathered, Facts(*columns.unbind(dim=1))


def _all(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
