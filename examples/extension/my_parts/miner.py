"""A miner of pytorch-metric-learning's interface: `miner=my_miner`."""

import torch
from pytorch_metric_learning.miners import BaseMiner
from pytorch_metric_learning.utils import loss_and_miner_utils
from torch import Tensor

__all__ = ["RandomTriplets"]


class RandomTriplets(BaseMiner):
    """At most so many of all triplets."""

    def __init__(self, count: int = 256) -> None:
        super().__init__()
        self._count = count

    def mine(self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor, ref_labels: Tensor) -> tuple[Tensor, ...]:
        """Indices of anchors, positives and negatives."""
        triplets = loss_and_miner_utils.get_all_triplets_indices(labels, ref_labels)
        chosen = torch.randperm(len(triplets[0]), device=labels.device)[: self._count]
        return tuple(indices[chosen] for indices in triplets)
