"""The training objective: a loss over the tuples that a miner chooses."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BaseMiner
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.contracts.settings.loss_kind import loss_kind
from src.datamodules.training_set import Facts
from src.losses.cross_batch_memory import CrossBatchMemory
from src.losses.pairs import PairRule, Pairs, all_pairs, all_triplets
from src.miners.library_miner import LibraryMiner
from src.miners.protocol import MinerInput

__all__ = ["Objective"]


class Objective(nn.Module):
    """One loss, over all pairs of a batch that are allowed or the tuples that a miner chooses of them.

    It depends on embeddings, facts and its memory only: with embeddings and facts gathered from several processes it
    gives the loss of the joined batch. Where all pairs are allowed and there is no memory, pytorch-metric-learning's
    classes are called as its documentation says.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        miner: nn.Module | None = None,
        rule: PairRule | None = None,
        memory: CrossBatchMemory | None = None,
    ) -> None:
        """Combine a loss with a miner, a rule and a memory.

        Args:
            loss: a loss of pytorch-metric-learning's interface.
            miner: a miner of its interface, or a `FactsMiner`; None takes all pairs.
            rule: the pairs that are allowed; None allows all.
            memory: further references.

        Raises:
            ConfigError: a miner, a rule or a memory for a loss that does not compare pairs of images.
        """
        super().__init__()
        self.loss = loss
        self._rule = rule or PairRule()
        name = type(loss).__name__
        self._kind = loss_kind(type(loss))
        ours = miner is not None and not isinstance(miner, BaseMiner)
        self._restricted = ours or memory is not None or self._rule != PairRule()
        if self._kind != "pairs" and (self._restricted or miner is not None):
            raise ConfigError(
                f"{name} does not compare chosen pairs of images; give it no miner, no rule of pairs, no memory"
            )
        self.miner = LibraryMiner(miner) if self._restricted and isinstance(miner, BaseMiner) else miner
        self.memory = memory

    def forward(self, embeddings: Float[Tensor, "batch dim"], facts: Facts) -> Float[Tensor, ""]:
        """The loss of a batch; in training, the batch is put into the memory afterwards.

        Args:
            embeddings: of norm 1.
            facts: of the same images.

        Returns:
            A scalar, float32 whatever the encoder computes in.

        Raises:
            ConfigError: the loss does not accept such a batch.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            value: Tensor = (self._over_allowed if self._restricted else self._over_all)(embeddings, facts)
        if self.memory is not None and self.training:
            self.memory.put(embeddings.detach(), facts)
        return value

    def _over_all(self, embeddings: Tensor, facts: Facts) -> Any:
        if self._kind == "whole batch":
            # SmoothAP expects an item's images in consecutive rows, and the same number for each item.
            order = facts.items.argsort(stable=True)
            try:
                return self.loss(embeddings[order], facts.items[order])
            except ValueError as error:
                counts = facts.items.bincount()
                counts = counts[counts > 0]
                raise ConfigError(
                    f"`loss`: {type(self.loss).__name__} needs equally many images of each item in a batch, and this "
                    f"one has {counts.min()} to {counts.max()}; draw P x K batches, or choose another loss"
                ) from error
        tuples = self.miner(embeddings, facts.items) if self.miner is not None else None
        return self.loss(embeddings, facts.items, tuples)

    def _over_allowed(self, embeddings: Tensor, facts: Facts) -> Any:
        references, reference_facts, usable = self._references(embeddings, facts)
        pairs = self._rule(facts, reference_facts, usable)
        if self.miner is None:
            tuples = self._all(pairs)
        else:
            tuples = self.miner(MinerInput(embeddings, facts, references, reference_facts, pairs))
        return self.loss(embeddings, facts.items, tuples, references, reference_facts.items)

    def _references(
        self, embeddings: Tensor, facts: Facts
    ) -> tuple[Tensor, Facts, Bool[Tensor, "anchors references"]]:  # fmt: skip
        """The batch, then the memory; an image is not compared with itself, nor with an older copy of itself."""
        others = ~torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
        if self.memory is None:
            return embeddings, facts, others
        remembered = self.memory.read()
        older = remembered.usable & (facts.images[:, None] != remembered.facts.images)
        return (
            torch.cat([embeddings, remembered.embeddings.to(embeddings.dtype)]),
            Facts(*(torch.cat(column) for column in zip(facts, remembered.facts, strict=True))),
            torch.cat([others, older], dim=1),
        )

    def _all(self, pairs: Pairs) -> tuple[Tensor, ...]:
        return all_triplets(pairs) if isinstance(self.loss, TripletMarginLoss) else all_pairs(pairs)
