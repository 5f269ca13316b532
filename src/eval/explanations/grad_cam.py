"""Grad-CAM of a similarity, position by position (Captum), for CNNs and vision transformers."""

import torch
import torch.nn.functional as F
from captum.attr import LayerGradientXActivation
from jaxtyping import Float, Num
from torch import Tensor

from src.eval.explanations.spatial_map import SpatialMap, exposed_map, find_spatial_map
from src.models.encoder import Encoder

__all__ = ["cell_map", "grad_cam"]


def grad_cam(
    encoder: Encoder, pixels: Num[Tensor, "batch size size 3"], other: Float[Tensor, "batch dim"]
) -> Float[Tensor, "batch size size"]:
    """Map where in each image the features lie that make its embedding similar to another one.

    The cosine is differentiated with the length of the image's own embedding held constant. The gradient of the full
    cosine is orthogonal to the embedding: multiplied by the features it sums to zero, and shows what would change the
    similarity instead of what contributes to it. For a last feature map that is averaged and projected without bias,
    this map is the exact decomposition of the cosine over positions (Stylianou, Souvenir, Pless, 2019).

    Grad-CAM (Selvaraju et al., 2017) weights channels by the mean of their gradients over positions; here each position
    keeps its own gradient (HiResCAM: Draelos, Carin, 2020). For a last map that is averaged the two are equal. In
    transformers the mean gradients were measured to put the map on the object about half as often
    (docs/evaluation.md).

    A map of 8 x 8 cells has its peaks at cell centres. It is therefore averaged over nine shifts of the image by half a
    cell; uncovered pixels repeat the image's border.

    Args:
        encoder: in evaluation mode.
        pixels: uint8, or float on the scale 0..255.
        other: embeddings of norm 1, one an image; constants.

    Returns:
        Signed: positive where the image is similar to the other one. Its sum is about the part of the cosine that
        passes through the map to first order: all of it, except for biases and curvature above the map.

    Raises:
        ConfigError: the backbone has no feature map.
    """
    size = pixels.shape[1]
    where = find_spatial_map(encoder, size)
    step = max(1, round(size / where.height / 2))
    padded = F.pad(pixels.float().permute(0, 3, 1, 2), (step,) * 4, mode="replicate").permute(0, 2, 3, 1)
    total = pixels.new_zeros((len(pixels), size + 2 * step, size + 2 * step), dtype=torch.float32)
    times = torch.zeros_like(total[:1])
    for top in (0, step, 2 * step):
        for left in (0, step, 2 * step):
            window = (slice(None), slice(top, top + size), slice(left, left + size))
            cells = cell_map(encoder, padded[window], other, where)
            # Upsampling divides a cell's value among its pixels.
            share = where.height * where.width / size**2
            total[window] += share * F.interpolate(cells[:, None], (size, size), mode="bilinear")[:, 0]
            times[window] += 1
    inside = slice(step, step + size)
    return total[:, inside, inside] / times[:, inside, inside]


def cell_map(encoder: Encoder, pixels: Tensor, other: Tensor, where: SpatialMap) -> Float[Tensor, "batch height width"]:
    """One view of the images, a value a cell: gradient times activation, summed over the channels."""

    def similarity(images: Tensor) -> Tensor:
        features = encoder.features(images).float()
        length = features.detach().norm(dim=1).clamp_min(1e-6)
        return (features * other).sum(dim=1) / length

    with exposed_map(encoder, where) as grid:
        # Pixels that require a gradient reach the map with one, even if the weights are frozen.
        attributed = LayerGradientXActivation(similarity, grid).attribute(
            pixels.detach().float().clone().requires_grad_()
        )
    return attributed.detach().sum(dim=1)
