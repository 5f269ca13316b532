"""A metric of torchmetrics' interface: `metric=my_metric`."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["Spread"]


class Spread(Metric):
    """Mean distance of an image from the mean of its item; `update` names what it wants of what validation has."""

    higher_is_better = False
    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for state in ("vectors", "item_ids"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, vectors: Tensor, item_ids: Tensor) -> None:
        """Embeddings of shape (batch, dim), and the number of each one's item."""
        self.vectors.append(vectors)
        self.item_ids.append(item_ids)

    def compute(self) -> Tensor:
        """A scalar."""
        vectors, items = (torch.cat(list(state)) for state in (self.vectors, self.item_ids))
        means = torch.stack([vectors[items == item].mean(0) for item in items])
        return (vectors - means).norm(dim=1).mean()
