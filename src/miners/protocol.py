"""The interface of miners, which choose the tuples of a loss."""

from typing import NamedTuple, Protocol

from jaxtyping import Float
from torch import Tensor

from src.datamodules.training_set import Facts
from src.losses.pairs import Pairs

__all__ = ["FactsMiner", "MinerInput", "Tuples"]

Tuples = tuple[Tensor, ...]
"""Indices as pytorch-metric-learning takes them, int64: (anchors, positives, negatives), or pairs (anchors, positives,
anchors, negatives); anchors count rows of the batch, the others rows of the references."""


class MinerInput(NamedTuple):
    """What a miner chooses from.

    Attributes:
        embeddings: the batch's, float32, of norm 1.
        facts: of the same images.
        references: what the batch is compared with: itself, then the cross-batch memory, if there is one.
        reference_facts: of the references.
        pairs: the pairs that may be chosen.
    """

    embeddings: Float[Tensor, "anchors dim"]
    facts: Facts
    references: Float[Tensor, "references dim"]
    reference_facts: Facts
    pairs: Pairs


class FactsMiner(Protocol):
    """A miner that goes by all facts of the images, not by their items alone."""

    def __call__(self, given: MinerInput) -> Tuples:
        """Choose tuples of the allowed pairs only."""
        ...
