"""What chooses the tuples of a loss."""

from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from src.datamodules.training_set import Facts
from src.losses.pairs import Pairs

__all__ = ["FactsMiner", "Tuples"]

Tuples = tuple[Tensor, ...]
"""Indices as pytorch-metric-learning takes them, int64: (anchors, positives, negatives), or pairs (anchors, positives,
anchors, negatives); anchors count rows of the batch, the others rows of the references."""


class FactsMiner(Protocol):
    """A miner that knows more of an image than its item."""

    def __call__(
        self,
        embeddings: Float[Tensor, "anchors dim"],
        facts: Facts,
        references: Float[Tensor, "references dim"],
        reference_facts: Facts,
        pairs: Pairs,
    ) -> Tuples:
        """Choose tuples.

        Args:
            embeddings: the batch's, float32, of norm 1.
            facts: of the same images.
            references: what the batch is compared with: itself, then what the memory holds.
            reference_facts: of the references.
            pairs: what may be chosen.

        Returns:
            Tuples of those pairs only.
        """
        ...
