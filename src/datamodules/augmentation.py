"""Random augmentation of a whole batch, on the device that trains."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

__all__ = ["STRENGTHS", "Augmentation", "Strength", "augment", "strength_of"]


Augmentation = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Takes pixels of shape (batch, height, width, 3), uint8, their domains (int64: position in `DOMAINS`, or -1), and a
generator for the draws; gives pixels 0..255."""


@dataclass(frozen=True)
class Strength:
    """Limits of the random changes.

    Attributes:
        zoom: smallest and largest magnification.
        stretch: largest change of the aspect ratio, as a factor.
        rotation: largest angle, in degrees either way.
        shift: largest displacement, as a share of the side.
        flip: probability of a mirror image.
        brightness: largest relative change of all channels.
        contrast: largest relative change of the distance from the mean grey.
        saturation: largest relative change of the distance from the pixel's grey.
        tint: largest relative change of each channel (white balance).
        erase: probability that a rectangle is painted over.
    """

    zoom: tuple[float, float]
    stretch: float
    rotation: float
    shift: float
    flip: float
    brightness: float
    contrast: float
    saturation: float
    tint: float
    erase: float


STRENGTHS = {
    "light": Strength((1.0, 1.25), 1.1, 10.0, 0.08, 0.5, 0.2, 0.2, 0.2, 0.05, 0.0),
    "strong": Strength((0.8, 1.6), 1.2, 25.0, 0.15, 0.5, 0.3, 0.3, 0.3, 0.12, 0.25),
}


def augment(
    pixels: UInt8[Tensor, "batch height width 3"], strength: Strength, generator: torch.Generator
) -> Float[Tensor, "batch height width 3"]:
    """Augment each image of a batch independently: geometry, then colour, then erasing.

    Args:
        pixels: uint8, 0..255.
        strength: limits of the changes.
        generator: on the CPU, so that a seed gives the same draws on every kind of device.

    Returns:
        float32 on the scale 0..255; pixels that a rotation uncovers repeat the image's border.
    """
    images = pixels.permute(0, 3, 1, 2).float()
    images = F.grid_sample(
        images, _grid(images.shape, strength, generator).to(images.device), padding_mode="border", align_corners=False
    )
    images = _recolour(images, strength, generator)
    return _erase(images, strength.erase, generator).permute(0, 2, 3, 1)


def strength_of(name: str) -> Augmentation | None:
    """The augmentation of a name: `none` or one of `STRENGTHS`."""
    strength = STRENGTHS.get(name)
    return partial(_augmented, strength=strength) if strength is not None else None


def _augmented(pixels: Tensor, domains: Tensor, generator: torch.Generator, strength: Strength) -> Tensor:
    return augment(pixels, strength, generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _grid(shape: torch.Size, strength: Strength, generator: torch.Generator) -> Tensor:
    count = shape[0]
    angle = torch.deg2rad(_uniform(count, -strength.rotation, strength.rotation, generator))
    low, high = (math.log(value) for value in strength.zoom)
    zoom = torch.exp(_uniform(count, low, high, generator))
    stretch = torch.exp(_uniform(count, -math.log(strength.stretch), math.log(strength.stretch), generator) / 2)
    mirror = torch.where(torch.rand(count, generator=generator) < strength.flip, -1.0, 1.0)
    shift = _uniform(2 * count, -2 * strength.shift, 2 * strength.shift, generator).view(count, 2)
    # The grid maps output to input positions: magnification divides.
    across, down = mirror * stretch / zoom, 1 / (stretch * zoom)
    rows = [
        torch.stack([across * angle.cos(), -down * angle.sin(), shift[:, 0]], dim=1),
        torch.stack([across * angle.sin(), down * angle.cos(), shift[:, 1]], dim=1),
    ]
    matrix = torch.stack(rows, dim=1)
    # The result of F.affine_grid, computed for rows and columns separately, in a thirtieth of its time on a CPU.
    ys, xs = ((torch.arange(side) * 2 + 1) / side - 1 for side in shape[2:])
    across_part, down_part = matrix[:, None, :, 0] * xs[None, :, None], matrix[:, None, :, 1] * ys[None, :, None]
    return across_part[:, None, :, :] + (down_part + matrix[:, None, :, 2])[:, :, None, :]


def _recolour(images: Tensor, strength: Strength, generator: torch.Generator) -> Tensor:
    """Change saturation, contrast, then brightness and tint by one matrix for each image, since all are linear.

    With grey g of a pixel, mean m of the image, and factors s, c and b (of each channel): an x becomes
    b (c (s x + (1 - s) g) + (1 - c) m).
    """
    count, height, width = len(images), *images.shape[2:]

    def factor(limit: float, channels: int = 1) -> Tensor:
        return _uniform(count * channels, 1 - limit, 1 + limit, generator).view(count, channels, 1)

    saturation, contrast = factor(strength.saturation), factor(strength.contrast)
    light = factor(strength.brightness) * factor(strength.tint, 3)
    matrix = light * contrast * (saturation * torch.eye(3) + (1 - saturation) / 3)
    flat = images.reshape(count, 3, height * width)
    offset = (light * (1 - contrast)).to(images.device) * flat.mean(dim=(1, 2), keepdim=True)
    return torch.baddbmm(offset, matrix.to(images.device), flat).clamp_(0, 255).view(images.shape)


def _erase(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Random erasing (Zhong et al., 2020), in place: a rectangle of 2 to 15 % of the image becomes its mean colour."""
    if not probability:
        return images
    count, _, height, width = images.shape
    hit = torch.rand(count, generator=generator) < probability
    area = _uniform(count, 0.02, 0.15, generator).sqrt()
    ratio = torch.exp(_uniform(count, -0.7, 0.7, generator) / 2)
    half_h, half_w = area * ratio * height / 2, area / ratio * width / 2
    centre_y, centre_x = _uniform(count, 0, height, generator), _uniform(count, 0, width, generator)
    inside_y = (torch.arange(height) - centre_y[:, None]).abs() < half_h[:, None]
    inside_x = (torch.arange(width) - centre_x[:, None]).abs() < half_w[:, None]
    rows = hit.nonzero().flatten()
    mask = (inside_y[rows, :, None] & inside_x[rows, None, :])[:, None].to(images.device)
    rows = rows.to(images.device)
    chosen = images[rows]
    images[rows] = torch.where(mask, chosen.mean(dim=(2, 3), keepdim=True), chosen)
    return images
