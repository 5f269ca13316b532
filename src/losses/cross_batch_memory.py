"""Cross-batch memory: embeddings of earlier batches as further references of a loss (Wang et al., CVPR 2020)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from src.datamodules.training_set import Facts

__all__ = ["CrossBatchMemory", "Remembered"]


class Remembered(NamedTuple):
    """The content of a memory.

    Attributes:
        embeddings: as computed when their batch was trained on, without a gradient.
        facts: of the same images.
        usable: whether a place holds an embedding, and `start` batches have been put in.
    """

    embeddings: Float[Tensor, "size dim"]
    facts: Facts
    usable: Bool[Tensor, " size"]


class CrossBatchMemory(nn.Module):
    """A ring buffer of the last embeddings and their facts.

    Its state is in buffers, so that a resumed run continues with the same memory. Empty places are read as well, marked
    as not usable, which avoids a synchronisation with the device.
    """

    embeddings: Tensor
    facts: Tensor
    seen: Tensor
    steps: Tensor

    def __init__(self, *, size: int, dim: int, start: int = 0) -> None:
        """Create an empty memory.

        Args:
            size: number of images that it holds.
            dim: dimension of the embeddings.
            start: number of batches to put in before they are used.
        """
        super().__init__()
        self.start = start
        self.register_buffer("embeddings", torch.zeros(size, dim))
        self.register_buffer("facts", torch.full((len(Facts._fields), size), -1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def read(self) -> Remembered:
        """The content, as views, which the next `put` overwrites."""
        size = len(self.embeddings)
        filled = torch.arange(size, device=self.seen.device) < self.seen
        return Remembered(self.embeddings, Facts(*self.facts), filled & (self.steps >= self.start))

    @torch.no_grad()
    def put(self, embeddings: Float[Tensor, "batch dim"], facts: Facts) -> None:
        """Overwrite the oldest embeddings with a batch; of a batch larger than the memory, with its last images."""
        size, batch = self.embeddings.shape[0], len(embeddings)
        kept = min(size, batch)
        places: Int64[Tensor, " kept"] = (
            self.seen + torch.arange(batch - kept, batch, device=self.seen.device)
        ) % size  # fmt: skip
        self.embeddings[places] = embeddings[batch - kept :].to(self.embeddings.dtype)
        self.facts[:, places] = torch.stack(facts)[:, batch - kept :]
        self.seen += batch
        self.steps += 1
