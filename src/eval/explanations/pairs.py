"""Explain pairs of images given as arrays: a map for each of the two images."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from src.contracts.errors import ConfigError
from src.eval.explanations.grad_cam import grad_cam
from src.eval.explanations.integrated_gradients import integrated_gradients
from src.models.encoder import Encoder

__all__ = ["METHODS", "explain_pairs"]

METHODS: dict[str, Callable[[Encoder, Tensor, Tensor], Tensor]] = {
    "grad_cam": grad_cam,
    "integrated_gradients": integrated_gradients,
}

_BATCH = 16


def explain_pairs(
    encoder: Encoder, query_pixels: np.ndarray, result_pixels: np.ndarray, *, method: str = "grad_cam"
) -> tuple[np.ndarray, np.ndarray]:
    """Compute maps of the parts that make two images similar, for many pairs.

    Each image is explained with the other one's embedding as a constant. Maps are signed: positive where the image is
    similar to the other one; the method documents what a map sums to. Checks and pictures use the positive part.

    Args:
        encoder: is put in evaluation mode; it stays on its device.
        query_pixels: uint8 of shape (pairs, size, size, 3).
        result_pixels: as `query_pixels`.
        method: `grad_cam` or `integrated_gradients`.

    Returns:
        Maps of the queries and of the results, float32 of shape (pairs, size, size) each.

    Raises:
        ConfigError: there is no such method, or it does not support the architecture.
    """
    if method not in METHODS:
        raise ConfigError(f"`method={method}`: must be one of {', '.join(METHODS)}")
    encoder = encoder.eval()
    maps: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for at in range(0, len(query_pixels), _BATCH):
        sides = [
            torch.from_numpy(pixels[at : at + _BATCH]).to(encoder.mean.device)
            for pixels in (query_pixels, result_pixels)
        ]
        with torch.no_grad():
            embeddings = [encoder(side) for side in sides]
        for one, (pixels, other) in enumerate(zip(sides, reversed(embeddings), strict=True)):
            maps[one].append(METHODS[method](encoder, pixels, other).cpu().numpy())
    empty = np.empty(query_pixels.shape[:3], np.float32)
    queries, results = (np.concatenate(side) if side else empty for side in maps)
    return queries, results
