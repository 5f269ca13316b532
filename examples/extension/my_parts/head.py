"""A head: `head=my_head`, or `model.head=NormHead` where the package is trusted."""

from torch import Tensor, nn

from src.models.heads import register_head

__all__ = ["NormHead"]


@register_head
class NormHead(nn.Module):
    """A layer norm before a linear layer."""

    def __init__(self, width: int, embedding_dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width, eps=eps), nn.Linear(width, embedding_dim))

    def forward(self, features: Tensor) -> Tensor:
        """Features of shape (batch, width) to embeddings of shape (batch, dim)."""
        embeddings: Tensor = self.layers(features)
        return embeddings
