"""A loss from clicks: an image should be nearer to clicked items and its own than to items that were passed over."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from src.datamodules.click_pairs import ClickPairs
from src.datamodules.training_set import Facts

__all__ = ["ClickPreference", "preference_loss"]


def preference_loss(
    similarities: Float[Tensor, "batch batch"], judgements: Float[Tensor, "batch batch"], temperature: float
) -> Float[Tensor, ""]:
    """Logistic loss over preferences: image i prefers j to k where judgement (i, j) is above 0 and (i, k) below.

    With similarities s and weights w, it is the mean of log(1 + exp((s_ik - s_ij) / temperature)) with the weights
    w_ij |w_ik| (RankNet: Burges et al., ICML 2005; with inverse propensities in the weights: Wang et al., WSDM 2018). A
    clicked item is not treated as the image's item, only as the nearer one of two.

    Args:
        similarities: of all images to all.
        judgements: from -1 to 1, 0 where nothing is known.
        temperature: scale of the differences of similarity; above 0.

    Returns:
        A scalar; 0 where the batch holds no preference. Memory grows with the judgements below 0 times the batch.
    """
    image, worse = (judgements < 0).nonzero(as_tuple=True)
    better = judgements[image].clamp(min=0)
    weights = better * -judgements[image, worse][:, None]
    losses = F.softplus((similarities[image, worse][:, None] - similarities[image]) / temperature)
    return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


class ClickPreference(nn.Module):
    """Adds the preferences of an interactions log to an objective.

    Attributes:
        parts: the objective's own, and `clicks`, the preferences' loss in the last batch, unweighted and without a
            gradient.
    """

    def __init__(
        self, objective: nn.Module, pairs: ClickPairs, *, item_count: int, weight: float, temperature: float
    ) -> None:
        """Prepare the look-up of judgements.

        Args:
            objective: the objective to which the preferences are added; it takes the same arguments as this module.
            pairs: the judgements from the log.
            item_count: number of items in the training set.
            weight: of the preferences' loss; the objective's is 1.
            temperature: see `preference_loss`.
        """
        super().__init__()
        self.objective = objective
        self.parts: dict[str, Tensor] = {}
        self._item_count, self._weight, self._temperature = item_count, weight, temperature
        keys = torch.from_numpy(pairs.images * item_count + pairs.items)
        keys, order = torch.sort(keys)
        # Not saved: each run makes them from the log. The last key equals no pair and keeps positions in range.
        self.register_buffer("_keys", torch.cat([keys, keys.new_tensor([-1])]), persistent=False)
        found = torch.from_numpy(pairs.weights)[order]
        self.register_buffer("_weights", torch.cat([found, found.new_zeros(1)]), persistent=False)

    def forward(self, embeddings: Float[Tensor, "batch dim"], facts: Facts) -> Float[Tensor, ""]:
        """The objective's loss plus the weighted loss of the preferences.

        Args:
            embeddings: float32, of norm 1.
            facts: of the same images.
        """
        loss: Tensor = self.objective(embeddings, facts)
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            preferences = preference_loss(embeddings @ embeddings.T, self.judgements(facts), self._temperature)
        self.parts = {**getattr(self.objective, "parts", {}), "clicks": preferences.detach()}
        return loss + self._weight * preferences

    def judgements(self, facts: Facts) -> Float[Tensor, "batch batch"]:
        """The judgement of each image (row) on the item of each image (column): 1 for its own item, 0 for itself."""
        keys, weights = self.get_buffer("_keys"), self.get_buffer("_weights")
        pairs = facts.images[:, None] * self._item_count + facts.items[None, :]
        place = torch.searchsorted(keys[:-1], pairs)
        known = torch.where(keys[place] == pairs, weights[place], 0.0)
        own = facts.items[:, None] == facts.items[None, :]
        known = torch.where(own, 1.0, known)
        return known.masked_fill(facts.images[:, None] == facts.images[None, :], 0.0)
