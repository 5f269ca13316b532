"""Initialise a linear head by the principal directions of the backbone's features."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.contracts.errors import LookalikeError
from src.models.encoder import Encoder
from src.models.heads import PCAHead

__all__ = ["initialise_pca_head", "principal_directions"]

_IMAGES = 4096


def principal_directions(
    features: Float[Tensor, "images width"], dim: int
) -> tuple[Float[Tensor, "dim width"], Float[Tensor, " width"]]:
    """The directions of largest variance, in descending order, and the mean.

    Directions beyond the rank of the features are orthogonal to the others. Signs are chosen so that the component of
    largest magnitude of each direction is positive.

    Args:
        features: float32 or float64, of at least two images.
        dim: number of directions, at most the width.

    Returns:
        Orthonormal rows and the mean, float32.
    """
    values = features.double()
    mean = values.mean(dim=0)
    centred = values - mean
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :dim].T
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return (directions * largest.sign()).float(), mean.float()


def initialise_pca_head(encoder: Encoder, images: Callable[[], np.ndarray], *, batch: int, seed: int = 0) -> None:
    """Set a `PCAHead` of zeros from training images; any other head is left unchanged.

    The embedding then is the backbone's feature minus the mean over the catalogue, which all images share, projected to
    the directions of largest variance.

    Args:
        encoder: with new or earlier weights.
        images: returns uint8 pixels of shape (images, size, size, 3), of which up to 4,096 are used.
        batch: images embedded at once.
        seed: of the choice of images.

    Raises:
        LookalikeError: there are fewer than two images, or features are not finite.
    """
    head = encoder.head
    if not isinstance(head, PCAHead) or bool(head.weight.any()):
        return
    pixels = images()
    if len(pixels) < 2:
        raise LookalikeError(f"`model.head=pca` needs at least 2 training images, there are {len(pixels)}")
    chosen = np.sort(np.random.default_rng(seed).choice(len(pixels), min(_IMAGES, len(pixels)), replace=False))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.head = nn.Identity()
    encoder.to(device).eval()
    with torch.inference_mode():
        parts = [
            encoder.features(torch.from_numpy(pixels[chosen[start : start + batch]]).to(device)).float().cpu()
            for start in range(0, len(chosen), batch)
        ]
    encoder.cpu().train()
    encoder.head = head
    features = torch.cat(parts)
    if not features.isfinite().all():
        raise LookalikeError("the backbone's features are not finite; check `model.weights`")
    directions, mean = principal_directions(features, head.out_features)
    with torch.no_grad():
        head.weight.copy_(directions)
        head.bias.copy_(-directions @ mean)
