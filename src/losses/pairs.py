"""Which pairs of images a loss may compare."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from src.datamodules.training_set import Facts

__all__ = ["PairRule", "Pairs", "all_pairs", "all_triplets"]


class Pairs(NamedTuple):
    """Masks of the positive and the negative pairs of anchors (rows) with references (columns).

    Attributes:
        positive: of one item.
        negative: of two items.
    """

    positive: Bool[Tensor, "anchors references"]
    negative: Bool[Tensor, "anchors references"]


@dataclass(frozen=True)
class PairRule:
    """Decides which images are pairs.

    Attributes:
        cross_domain: whether only images of different domains are pairs; an image of unknown domain pairs with all.
        variants: whether images of two variants of one parent are pairs (negative ones).
    """

    cross_domain: bool = False
    variants: bool = True

    def __call__(
        self, anchors: Facts, references: Facts, usable: Bool[Tensor, "anchors references"]
    ) -> Pairs:  # fmt: skip
        """The pairs among those that `usable` allows."""
        same = _equal(anchors.items, references.items)
        if self.cross_domain:
            unknown = (anchors.domains < 0)[:, None] | (references.domains < 0)
            usable = usable & (unknown | ~_equal(anchors.domains, references.domains))
        negative = ~same & usable
        if not self.variants:
            negative = negative & ~_equal(anchors.parents, references.parents)
        return Pairs(same & usable, negative)


def all_pairs(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All pairs as pytorch-metric-learning takes them: anchors and positives, anchors and negatives (int64 each)."""
    return *torch.where(pairs.positive), *torch.where(pairs.negative)  # type: ignore[return-value]


def all_triplets(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """All anchors with each of their positives and each of their negatives (int64 each).

    pytorch-metric-learning lists them by an array of anchors x references x references, too large with a memory.
    """
    anchor, positive = torch.where(pairs.positive)
    _, negative = torch.where(pairs.negative)
    counts = pairs.negative.sum(dim=1)
    first = counts.cumsum(0) - counts
    each = counts[anchor]
    anchors = anchor.repeat_interleave(each)
    turn = torch.arange(len(anchors), device=anchors.device) - (each.cumsum(0) - each).repeat_interleave(each)
    return anchors, positive.repeat_interleave(each), negative[first[anchors] + turn]


def _equal(rows: Int64[Tensor, " anchors"], columns: Int64[Tensor, " references"]) -> Tensor:
    return rows[:, None] == columns
