"""Restrict pytorch-metric-learning's miners to allowed pairs."""

import torch
from pytorch_metric_learning.miners import BaseMiner
from torch import Tensor, nn

from src.losses.pairs import Pairs
from src.miners.protocol import MinerInput, Tuples

__all__ = ["LibraryMiner"]

_EASY = 1e4
"""A distance, or a similarity, far beyond any of embeddings of norm 1."""


class LibraryMiner(nn.Module):
    """A miner of the library, which goes by items alone, restricted to the pairs that a loss may compare.

    Pairs that are not allowed get the distance of the easiest pair, so that the miner does not prefer them; those that
    it still chooses, for lack of others or by chance, are dropped.
    """

    def __init__(self, miner: BaseMiner) -> None:
        """Wrap a miner and replace its distance."""
        super().__init__()
        self._distance = _AllowedDistance(miner.distance)
        miner.distance = self._distance
        self.miner = miner

    @torch.no_grad()
    def forward(self, given: MinerInput) -> Tuples:
        """Choose tuples; see `FactsMiner`."""
        pairs, items, reference_items = given.pairs, given.facts.items, given.reference_facts.items
        self._distance.pairs = pairs
        self._distance.same = items[:, None] == reference_items
        mined: Tuples = self.miner(given.embeddings, items, given.references, reference_items)
        if len(mined) == 3:
            anchor, positive, negative = mined
            keep = pairs.positive[anchor, positive] & pairs.negative[anchor, negative]
            return anchor[keep], positive[keep], negative[keep]
        anchor, positive, other, negative = mined
        keep, keep_other = pairs.positive[anchor, positive], pairs.negative[other, negative]
        return anchor[keep], positive[keep], other[keep_other], negative[keep_other]


class _AllowedDistance(nn.Module):
    """A distance of the library in which a pair that is not allowed is the easiest positive or negative."""

    pairs: Pairs
    same: Tensor

    def __init__(self, distance: nn.Module) -> None:
        super().__init__()
        self.distance = distance
        self.is_inverted: bool = distance.is_inverted  # type: ignore[assignment]

    def forward(self, query: Tensor, references: Tensor) -> Tensor:
        matrix: Tensor = self.distance(query, references)
        near = _EASY if self.is_inverted else -_EASY
        matrix = torch.where(self.same & ~self.pairs.positive, near, matrix)
        return torch.where(~self.same & ~self.pairs.negative, -near, matrix)
