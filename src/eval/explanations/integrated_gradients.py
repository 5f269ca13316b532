"""Integrated gradients of a similarity (Sundararajan, Taly, Yan, 2017; Captum)."""

import torch
from captum.attr import IntegratedGradients
from jaxtyping import Float, Num
from torch import Tensor

from src.models.encoder import Encoder

__all__ = ["baseline", "integrated_gradients"]

_STEPS = 32
_AT_ONCE = 128
"""Images in one pass; each image takes `_STEPS` of them."""


def baseline(pixels: Num[Tensor, "batch size size 3"]) -> Float[Tensor, "batch size size 3"]:
    """The start of the integration: an image of each image's mean colour."""
    images = pixels.float()
    return images.mean(dim=(1, 2), keepdim=True).expand_as(images)


def integrated_gradients(
    encoder: Encoder, pixels: Num[Tensor, "batch size size 3"], other: Float[Tensor, "batch dim"]
) -> Float[Tensor, "batch size size"]:
    """How much each pixel contributes to the cosine on the path from the mean colour to the image.

    Finer than Grad-CAM and independent of the architecture, but it takes 32 forward and backward passes, and the maps
    are noisy. Pixels of the mean colour get 0 whatever the network computes from them.

    Args:
        encoder: in evaluation mode.
        pixels: uint8, or float on the scale 0..255.
        other: embeddings of norm 1, one an image; constants.

    Returns:
        Signed, the three channels summed: each map sums to the cosine minus that of the baseline (completeness), up to
        the error of 32 Gauss-Legendre steps.
    """
    images, start = pixels.float(), baseline(pixels)

    def similarity(batch: Tensor, constant: Tensor) -> Tensor:
        embeddings: Tensor = encoder(batch)
        return (embeddings * constant).sum(dim=1)

    integrate = IntegratedGradients(similarity)
    chunk = max(1, _AT_ONCE // _STEPS)
    parts = [
        integrate.attribute(
            images[at : at + chunk],
            start[at : at + chunk],
            additional_forward_args=(other[at : at + chunk],),
            n_steps=_STEPS,
        )
        for at in range(0, len(images), chunk)
    ]
    return torch.cat(parts).detach().sum(dim=3)
