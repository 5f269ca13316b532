"""Diagnostics of training from a batch's embeddings: active triplets, distances, spread."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["diagnose"]


@torch.no_grad()
def diagnose(
    embeddings: Float[Tensor, "batch dim"], items: Int64[Tensor, " batch"], margin: float
) -> dict[str, Tensor]:
    """Measure a batch. Takes its matrix of distances, sorted by row, and does not synchronise with the device.

    Args:
        embeddings: float32, of norm 1.
        items: number of each image's item.
        margin: of a triplet loss, in distance.

    Returns:
        Float32 scalars, NaN where a batch has no such pairs:

        - `active_triplets`: share of all triplets (anchor, positive, negative) whose negative is not farther from the
          anchor than the positive by the margin. Near 0 random triplets give no more gradient.
        - `positive_distance`, `negative_distance`: mean Euclidean distance between images of one item, of two items;
          0..2.
        - `mean_cosine`: over all pairs of images; 1 where all embeddings are one point.
        - `uniformity`: logarithm of the mean of exp(-2 d^2) over all pairs (Wang, Isola, 2020); 0 where
          all embeddings are one point; lower values mean a better spread.
        - `effective_rank`: number of dimensions that the embeddings use: (sum of eigenvalues)^2 / sum of their squares,
          of the covariance (the participation ratio); 0 where all embeddings are one point, at most
          min(batch - 1, dim).
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        embeddings = embeddings.float()
        cosine = embeddings @ embeddings.T
        centred = embeddings - embeddings.mean(dim=0)
        gram = centred @ centred.T
    squared = (2 - 2 * cosine).clamp(min=0)
    distance = squared.sqrt()

    same = items[:, None] == items
    negative = ~same
    other = ~torch.eye(len(items), dtype=torch.bool, device=items.device)
    positive = same & other

    # The number of each anchor's negatives that are nearer than a positive plus the margin, by bisection.
    farthest = torch.where(negative, distance, torch.inf).sort(dim=1).values
    violating = torch.searchsorted(farthest, distance + margin)
    triplets = (positive.sum(dim=1) * negative.sum(dim=1)).sum()

    variance = gram.diagonal().sum()
    # A variance below the rounding of float32 is noise.
    spread = variance > 1e-6 * len(items)
    return {
        "active_triplets": torch.where(positive, violating, 0).sum() / triplets,
        "positive_distance": _mean(distance, positive),
        "negative_distance": _mean(distance, negative),
        "mean_cosine": _mean(cosine, other),
        "uniformity": _mean(torch.exp(-2 * squared), other).log(),
        "effective_rank": torch.where(spread, variance.square() / gram.square().sum(), 0.0),
    }


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen, values, 0.0).sum() / chosen.sum()
