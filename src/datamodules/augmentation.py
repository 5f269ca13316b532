"""Random changes of a whole batch, on the device that trains."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

__all__ = ["STRENGTHS", "Strength", "augment"]


@dataclass(frozen=True)
class Strength:
    """How far an image may be changed.

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
    """Change each image of a batch in its own way: geometry, then colour, then erasing.

    Args:
        pixels: uint8, 0..255.
        strength: how far.
        generator: on the CPU, so that one seed gives one training on each kind of device.

    Returns:
        float32 on the scale 0..255; what a rotation uncovers shows the image's border.
    """
    images = pixels.permute(0, 3, 1, 2).float()
    images = F.grid_sample(
        images, _grid(images.shape, strength, generator).to(images.device), padding_mode="border", align_corners=False
    )
    images = _recolour(images, strength, generator)
    return _erase(images, strength.erase, generator).permute(0, 2, 3, 1)


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
    # affine_grid maps output to input positions: magnification divides.
    across, down = mirror * stretch / zoom, 1 / (stretch * zoom)
    rows = [
        torch.stack([across * angle.cos(), -down * angle.sin(), shift[:, 0]], dim=1),
        torch.stack([across * angle.sin(), down * angle.cos(), shift[:, 1]], dim=1),
    ]
    return F.affine_grid(torch.stack(rows, dim=1), list(shape), align_corners=False)


def _recolour(images: Tensor, strength: Strength, generator: torch.Generator) -> Tensor:
    count, device = len(images), images.device

    def factor(limit: float, channels: int = 1) -> Tensor:
        values = _uniform(count * channels, 1 - limit, 1 + limit, generator)
        return values.view(count, channels, 1, 1).to(device)

    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * factor(strength.saturation)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    images = mean + (images - mean) * factor(strength.contrast)
    return (images * factor(strength.brightness) * factor(strength.tint, 3)).clamp(0, 255)


def _erase(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Random erasing (Zhong et al., 2020): a rectangle of 2 to 15 % of the image becomes its mean colour."""
    count, _, height, width = images.shape
    hit = torch.rand(count, generator=generator) < probability
    area = _uniform(count, 0.02, 0.15, generator).sqrt()
    ratio = torch.exp(_uniform(count, -0.7, 0.7, generator) / 2)
    half_h, half_w = area * ratio * height / 2, area / ratio * width / 2
    centre_y, centre_x = _uniform(count, 0, height, generator), _uniform(count, 0, width, generator)
    inside_y = (torch.arange(height) - centre_y[:, None]).abs() < half_h[:, None]
    inside_x = (torch.arange(width) - centre_x[:, None]).abs() < half_w[:, None]
    mask = (hit[:, None, None] & inside_y[:, :, None] & inside_x[:, None, :])[:, None].to(images.device)
    return torch.where(mask, images.mean(dim=(2, 3), keepdim=True), images)
