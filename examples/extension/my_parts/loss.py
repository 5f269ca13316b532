"""A loss: `loss=my_proxies`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MyProxies"]


class MyProxies(nn.Module):
    """Cross-entropy over the cosines with one proxy an item."""

    compares = "proxies"  # so it gets num_classes and embedding_size

    def __init__(self, num_classes: int, embedding_size: int, scale: float = 16.0) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(num_classes, embedding_size))
        self._scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor, tuples: None = None) -> Tensor:
        """Embeddings of shape (batch, dim) and the number of each one's item to a scalar."""
        return F.cross_entropy(self._scale * embeddings @ F.normalize(self.proxies, dim=1).T, labels)
