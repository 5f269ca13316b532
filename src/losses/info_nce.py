"""InfoNCE whose memory grows with the batch's similarities only."""

import torch
import torch.nn.functional as F
from pytorch_metric_learning.distances import BaseDistance, CosineSimilarity
from pytorch_metric_learning.losses.generic_pair_loss import GenericPairLoss
from torch import Tensor

__all__ = ["InfoNCE"]


class InfoNCE(GenericPairLoss):
    """Each positive pair against the anchor's negatives (van den Oord, Li, Vinyals, 2018; NT-Xent in SimCLR, 2020).

    The mean over positive pairs (a, p) of -log(exp(s_ap / t) / (exp(s_ap / t) + sum_n exp(s_an / t))), n being the
    negatives of a. pytorch-metric-learning's `NTXentLoss` computes the same value with positive pairs x negative pairs
    numbers in memory (400 million in a batch of 128 x 4, 1.6 GB); this class needs anchors x references.
    """

    def __init__(self, temperature: float = 0.07, distance: BaseDistance | None = None) -> None:
        """Set the temperature, and the similarity: cosine, or another distance of pytorch-metric-learning."""
        super().__init__(mat_based_loss=True, distance=distance)
        self.temperature = temperature

    def _compute_loss(self, mat: Tensor, pos_mask: Tensor, neg_mask: Tensor) -> dict[str, dict[str, object]]:
        logits = (mat if self.distance.is_inverted else -mat) / self.temperature
        # The lowest number instead of -inf: an anchor without negatives then costs 0 and its gradient is 0, not NaN.
        lowest = torch.finfo(logits.dtype).min
        against = logits.masked_fill(neg_mask == 0, lowest).logsumexp(dim=1)
        anchors, positives = torch.where(pos_mask > 0)
        # -log(e^x / (e^x + e^y)) = softplus(y - x)
        losses = F.softplus(against[anchors] - logits[anchors, positives])
        if not len(losses):
            return self.zero_losses()
        return {"loss": {"losses": losses, "indices": (anchors, positives), "reduction_type": "pos_pair"}}

    def get_default_distance(self) -> CosineSimilarity:
        """Cosine."""
        return CosineSimilarity()
