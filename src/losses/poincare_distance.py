"""Hyperbolic distance between embeddings of equal norm, which ranks like the cosine."""

import math

import torch
from pytorch_metric_learning.distances import BaseDistance
from torch import Tensor

from src.contracts.errors import ConfigError

__all__ = ["PoincareDistance"]

_SMALLEST = 1e-6
"""Lower limit of 1 - cosine: at 0, between equal embeddings, the distance has no derivative."""


class PoincareDistance(BaseDistance):
    """The distance of Hyp-ViT (Ermolov et al., Hyperbolic Vision Transformers, CVPR 2022) for clipped features.

    They clip features to the length r ("feature clipping", 2.3) and map them into the Poincare ball of curvature -c
    (0.1) by the exponential map at its centre. Here every embedding has that length: the ball's points u, v then lie at
    R = tanh(sqrt(c) r) / sqrt(c) from the centre, and with |u - v|^2 = 2 R^2 (1 - cosine) their distance is

        arccosh(1 + 2 c |u - v|^2 / (1 - c R^2)^2) / sqrt(c),

    which falls as the cosine grows: an index by cosine finds the same neighbours. In their version features with a norm
    below r keep it, so that features of the same direction can differ.
    """

    def __init__(self, curvature: float = 0.1, radius: float = 2.3) -> None:
        """Check the arguments.

        Args:
            curvature: c, positive.
            radius: r, the norm to which features are clipped.

        Raises:
            ConfigError: either is not above 0.
        """
        super().__init__(normalize_embeddings=True, is_inverted=False)
        for name, value in (("curvature", curvature), ("radius", radius)):
            if not 0 < value < float("inf"):
                raise ConfigError(f"`loss.distance.{name}={value}`: must be finite and above 0")
        self.root = math.sqrt(curvature)
        reach = math.tanh(self.root * radius) ** 2
        self.scale = 4 * reach / (1 - reach) ** 2

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """Distances of all pairs: (queries, dim) and (references, dim), of norm 1, to (queries, references)."""
        apart = (1 - query_emb @ ref_emb.T).clamp(min=_SMALLEST)
        # arccosh(1 + x) = 2 arcsinh(sqrt(x / 2)), which does not lose a small x in 1 + x.
        return 2 * torch.asinh((self.scale / 2 * apart).sqrt()) / self.root

    def pairwise_distance(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """Distances of rows: two times (rows, dim), of norm 1, to (rows,)."""
        apart = (1 - (query_emb * ref_emb).sum(dim=1)).clamp(min=_SMALLEST)
        return 2 * torch.asinh((self.scale / 2 * apart).sqrt()) / self.root
