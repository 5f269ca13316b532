"""What a batch of embeddings is trained towards: a loss over the tuples that a miner chooses."""

from jaxtyping import Float
from torch import Tensor, nn

from src.datamodules.training_set import Facts

__all__ = ["Objective"]


class Objective(nn.Module):
    """A loss of pytorch-metric-learning's kind, and a miner of its kind if tuples are to be chosen."""

    def __init__(self, loss: nn.Module, *, miner: nn.Module | None) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner

    def forward(self, embeddings: Float[Tensor, "batch dim"], facts: Facts) -> Float[Tensor, ""]:
        """The loss of a batch.

        Args:
            embeddings: float32, of norm 1.
            facts: of the same images.

        Returns:
            A float32 scalar.
        """
        tuples = self.miner(embeddings, facts.items) if self.miner is not None else None
        loss: Tensor = self.loss(embeddings, facts.items, tuples)
        return loss
