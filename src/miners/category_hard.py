"""Hard negatives of the anchor's own category."""

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.datamodules.training_set import Facts
from src.miners.protocol import MinerInput, Tuples

__all__ = ["CategoryHardMiner"]


class CategoryHardMiner(nn.Module):
    """All positives of an anchor, with its hardest negatives among other products of its category.

    Variants of the anchor's parent are never negatives. An anchor whose category is unknown, or has no other product
    among the references, takes its negatives from all categories. The hardest negatives are often mislabelled: a share
    of them can be skipped. The choice is deterministic.
    """

    def __init__(self, *, negatives: int = 4, skip: float = 0.0) -> None:
        """Check the arguments.

        Args:
            negatives: negatives of each anchor, the hardest after those skipped.
            skip: share of an anchor's candidates, the hardest, that is skipped; 0 skips none.

        Raises:
            ConfigError: `negatives` is below 1, or `skip` outside [0, 1).
        """
        super().__init__()
        if negatives < 1:
            raise ConfigError(f"`miner.negatives={negatives}`: must be at least 1")
        if not 0 <= skip < 1:
            raise ConfigError(f"`miner.skip={skip}`: a share of the candidates, in [0, 1)")
        self.negatives, self.skip = negatives, skip

    @torch.no_grad()
    def forward(self, given: MinerInput) -> Tuples:
        """Choose pairs; see `FactsMiner`."""
        candidates = _candidates(given.facts, given.reference_facts, given.pairs.negative)
        similarity = (given.embeddings @ given.references.T).masked_fill(~candidates, -torch.inf)
        hardest = similarity.argsort(dim=1, descending=True, stable=True)
        count = candidates.sum(dim=1, keepdim=True)
        skipped = (self.skip * count).floor()
        turn = torch.arange(hardest.shape[1], device=hardest.device)
        chosen = (turn >= skipped) & (turn < skipped + self.negatives) & (turn < count)
        anchor, position = torch.where(chosen)
        return *torch.where(given.pairs.positive), anchor, hardest[anchor, position]


def _candidates(
    facts: Facts, reference_facts: Facts, negative: Bool[Tensor, "anchors references"]
) -> Bool[Tensor, "anchors references"]:
    """Negatives of the anchor's category where there are any, else all of them; never a variant of its parent."""
    other = negative & (facts.parents[:, None] != reference_facts.parents)
    alike = other & (facts.categories[:, None] == reference_facts.categories) & (facts.categories >= 0)[:, None]
    return torch.where(alike.any(dim=1, keepdim=True), alike, other)
