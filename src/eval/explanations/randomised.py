"""Randomise a network's layers: a test whether maps depend on the network (Adebayo et al., 2018)."""

import copy
import math
from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import rankdata
from torch import nn

from src.models.encoder import Encoder

__all__ = ["STAGES", "randomised_from_top", "rank_correlation"]

STAGES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the layers that are randomised, counted from the embedding downwards."""


def randomised_from_top(encoder: Encoder, *, seed: int = 0) -> Iterator[tuple[float, Encoder]]:
    """Copies of an encoder with more and more of its layers randomised, in the last copy all of them.

    Layers are initialised as at their creation (`reset_parameters`); other parameters (class tokens, positions,
    layer scales) get normal noise of the standard deviation that they had.

    Yields:
        The share of the layers, and the encoder.
    """
    destroyed = copy.deepcopy(encoder)
    # Modules are registered in the order of the forward pass, so the reverse begins at the head.
    layers = [module for module in destroyed.modules() if any(True for _ in module.parameters(recurse=False))][::-1]
    done = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for share in STAGES:
            until = math.ceil(share * len(layers))
            for layer in layers[done:until]:
                _redraw(layer)
            done = until
            yield share, copy.deepcopy(destroyed)


def _redraw(layer: nn.Module) -> None:
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            deviation = float(parameter.std()) if parameter.numel() > 1 else 0.0
            parameter.copy_(torch.randn(parameter.shape) * (deviation or 1.0))


def rank_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's correlation of two maps of each image.

    Args:
        maps: float array of shape (images, height, width).
        others: of the same shape.

    Returns:
        float64 of shape (images,), -1 to 1; 0 where a map is constant.
    """
    sides = []
    for side in (maps, others):
        ranks = rankdata(side.reshape(len(side), -1), axis=1)
        centred = ranks - ranks.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        sides.append(centred / np.where(lengths > 0, lengths, 1))
    return (sides[0] * sides[1]).sum(axis=1)
