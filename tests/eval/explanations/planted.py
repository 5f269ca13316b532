"""Small networks whose maps are known beforehand."""

import numpy as np
import torch
from torch import Tensor, nn

from src.contracts.preprocessing import PreprocessingSpec
from src.models.encoder import Encoder, build_encoder

__all__ = ["SIZE", "SPEC", "color_seer", "patches", "strong_color_seer", "tiny_cnn", "tiny_vit"]

SIZE = 32
SPEC = PreprocessingSpec(size=SIZE, resize="squash")
PLAIN = PreprocessingSpec(size=SIZE, resize="squash", mean=(0, 0, 0), std=(1, 1, 1))


class ColorSeer(nn.Module):
    """Sees red, green and blue above a threshold in cells of 4 x 4 pixels, averaged; grey is nothing to it."""

    feature_info = ({"module": "cells"},)

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.cells = nn.Sequential(nn.Conv2d(3, 3, 4, stride=4, bias=threshold > 0), nn.ReLU())
        with torch.no_grad():
            mixing = 1.5 * torch.eye(3) - 0.5
            if threshold:
                self.cells[0].bias.fill_(-threshold)
            self.cells[0].weight.copy_(mixing[:, :, None, None].expand(3, 3, 4, 4) / 16)

    def forward(self, images: Tensor) -> Tensor:
        averaged: Tensor = self.cells(images).mean(dim=(2, 3))
        return averaged


def color_seer() -> Encoder:
    """Linear but for its ReLU, without a bias."""
    return Encoder(ColorSeer(0.0), nn.Identity(), dim=3, spec=PLAIN).eval()


def strong_color_seer() -> Encoder:
    """Doesn't see the mean colour of an image with a patch; what it doesn't see has an embedding all the same."""
    head = nn.Linear(3, 4)
    with torch.no_grad():
        head.weight.copy_(torch.eye(4, 3))
        head.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.05]))
    return Encoder(ColorSeer(0.2), head, dim=4, spec=PLAIN).eval()


def tiny_cnn(**changes: object) -> Encoder:
    arguments: dict = {"backbone": "resnet10t", "backbone_kwargs": {"channels": [8, 8, 16, 16]}}
    torch.manual_seed(0)
    return build_encoder(**{"spec": SPEC, "hidden_dim": 16, "embedding_dim": 8, **arguments, **changes}).eval()


def tiny_vit(**changes: object) -> Encoder:
    shape = {"patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 2, **changes}
    encoder = tiny_cnn(backbone="vit_tiny_patch16_224", backbone_kwargs=shape)
    with torch.no_grad():
        # New transformers have weights so small that blocks do next to nothing.
        for parameter in encoder.backbone.blocks.parameters():
            if parameter.ndim > 1:
                parameter.mul_(15)
    return encoder


def patches(count: int, *, color: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey images with a patch of one channel, and the patches' masks."""
    rng = np.random.default_rng(seed)
    pixels = np.full((count, SIZE, SIZE, 3), 90, np.uint8)
    masks = np.zeros((count, SIZE, SIZE), bool)
    for image, mask in zip(pixels, masks, strict=True):
        top, left = 4 * rng.integers(0, 6, 2)
        mask[top : top + 8, left : left + 8] = True
        image[mask] = 0
        image[mask, color] = 255
    return pixels, masks
