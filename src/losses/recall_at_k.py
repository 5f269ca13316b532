"""A differentiable surrogate of Recall@k."""

from collections.abc import Sequence

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses.generic_pair_loss import GenericPairLoss
from torch import Tensor

from src.contracts.errors import ConfigError

__all__ = ["RecallAtKSurrogate"]


class RecallAtKSurrogate(GenericPairLoss):
    """One minus Recall@k with sigmoids for its two steps (Patel, Tolias, Matas, CVPR 2022).

    Each anchor is a query, its positives P and negatives are the gallery. A positive x has the smooth rank
    r(x) = 1 + sum over the rest of the gallery of sigmoid((s_z - s_x) / rank_temperature), and
    Recall@k = min(k, sum over P of sigmoid((k - r(x)) / count_temperature)) / min(k, |P|).
    The loss is the mean of 1 - Recall@k over all k, then over the queries that have a positive.

    The normalisation by min(k, |P|) is that of the authors' code (yash0307/RecallatK_surrogate). Their code also counts
    the query itself in the gallery, which raises every rank by one, and uses k as the default count temperature, where
    the paper states 1. Similarity mixup is not implemented.
    """

    def __init__(
        self, ks: Sequence[int] = (1, 2, 4, 8, 16), rank_temperature: float = 0.01, count_temperature: float = 1.0
    ) -> None:
        """Check the arguments.

        Args:
            ks: the cut-offs.
            rank_temperature: of the sigmoid that counts nearer references, in cosine.
            count_temperature: of the sigmoid that compares a rank with k, in ranks.

        Raises:
            ConfigError: no k, one below 1, or a temperature that is not above 0.
        """
        super().__init__(mat_based_loss=True)
        if not ks or min(ks) < 1:
            raise ConfigError(f"`loss.ks={list(ks)}`: needs at least one k, and each at least 1")
        for name, value in (("rank_temperature", rank_temperature), ("count_temperature", count_temperature)):
            if not value > 0:
                raise ConfigError(f"`loss.{name}={value}`: must be above 0")
        self.ks = tuple(ks)
        self.rank_temperature, self.count_temperature = rank_temperature, count_temperature

    def _compute_loss(self, mat: Tensor, pos_mask: Tensor, neg_mask: Tensor) -> dict[str, dict[str, object]]:
        query, positive = torch.where(pos_mask > 0)
        if not len(query):
            return self.zero_losses()
        # (positives, references): references that are nearer to the query than this positive.
        nearer = torch.sigmoid((mat[query] - mat[query, positive].unsqueeze(1)) / self.rank_temperature)
        gallery = (pos_mask + neg_mask)[query].scatter(1, positive.unsqueeze(1), 0.0)
        ranks = 1 + (nearer * gallery).sum(dim=1)

        ks = torch.tensor(self.ks, dtype=mat.dtype, device=mat.device)
        within = torch.sigmoid((ks - ranks.unsqueeze(1)) / self.count_temperature)
        found = torch.zeros(len(mat), len(ks), dtype=mat.dtype, device=mat.device).index_add(0, query, within)
        count = pos_mask.sum(dim=1)
        queries = torch.where(count > 0)[0]
        recall = torch.minimum(found[queries], ks) / torch.minimum(count[queries].unsqueeze(1), ks)
        return {"loss": {"losses": 1 - recall.mean(dim=1), "indices": queries, "reduction_type": "element"}}

    def get_default_distance(self) -> CosineSimilarity:
        """Cosine."""
        return CosineSimilarity()
