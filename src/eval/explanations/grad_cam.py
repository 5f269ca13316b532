"""Grad-CAM of a similarity, position by position (Captum), for CNNs and vision transformers."""

import torch
import torch.nn.functional as F
from captum.attr import LayerGradientXActivation
from jaxtyping import Float, Num
from torch import Tensor

from src.eval.explanations.spatial_map import SpatialMap, find_spatial_map, opened
from src.models.encoder import Encoder

__all__ = ["cell_map", "grad_cam"]


def grad_cam(
    encoder: Encoder, pixels: Num[Tensor, "batch size size 3"], other: Float[Tensor, "batch dim"]
) -> Float[Tensor, "batch size size"]:
    """Where in each image the features lie that make its embedding similar to another one.

    What is differentiated is the cosine with the length of the image's own embedding held fixed. The cosine's own
    gradient is at right angles to the embedding: multiplied by the features it sums to nothing, and shows what would
    change the similarity, not what makes it up. At a last map that is averaged and projected without bias, the map as
    it is here is the exact decomposition of the cosine over positions (Stylianou, Souvenir, Pless, 2019).

    Grad-CAM (Selvaraju et al., 2017) weights channels by their gradients' mean over positions; here each position keeps
    its own (HiResCAM: Draelos, Carin, 2020). At a last map that is averaged the two are one. In a transformer the
    means say little: measured, such maps lay on the object about half as often (docs/evaluation.md).

    A map of 8 x 8 cells has its peaks at cell centres. So it is averaged over the image shifted by half a cell to each
    side, nine times in all, what is uncovered showing the image's border.

    Args:
        encoder: in evaluation mode.
        pixels: uint8, or float on the scale 0..255.
        other: embeddings of norm 1, one an image; constants.

    Returns:
        Signed: positive where the image is like the other one. Its sum is about the part of the cosine that passes
        through the map to first order: all of it, but for biases and curvature above the map.

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
            # Upsampled, a cell's value is shared among its pixels.
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

    with opened(encoder, where) as grid:
        # Pixels that require a gradient reach the map with one, even if the weights are frozen.
        attributed = LayerGradientXActivation(similarity, grid).attribute(
            pixels.detach().float().clone().requires_grad_()
        )
    return attributed.detach().sum(dim=1)
