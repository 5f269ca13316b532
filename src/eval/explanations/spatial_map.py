"""Find the feature map that Grad-CAM reads, by one rule for convolutional networks and vision transformers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.models.encoder import Encoder

__all__ = ["LEAST_CELLS", "SpatialMap", "exposed_map", "find_spatial_map"]

LEAST_CELLS = 7
"""Fewer cells a side do not separate an object from its surroundings; most networks end with 7 x 7 at 224 pixels."""


@dataclass(frozen=True)
class SpatialMap:
    """The position of the map in a backbone.

    Attributes:
        layer: name of the module in the backbone.
        layout: of the module's output: `NCHW`, `NHWC`, or `tokens` (batch, prefix + cells, width).
        prefix: class and register tokens before the patch tokens.
        height: cells from top to bottom.
        width: cells from left to right.
    """

    layer: str
    layout: str
    prefix: int
    height: int
    width: int


def find_spatial_map(encoder: Encoder, size: int) -> SpatialMap:
    """Find the deepest feature map with at least `LEAST_CELLS` cells a side, or the largest where none has as many.

    Candidates are the stages that timm lists in the backbone's `feature_info`. In a transformer the map is the input of
    a block's attention, after the norm: after the last block, the patch tokens have no gradient in a network that uses
    its class token; before the norm, which removes any scaling of a token, gradient times token is zero.

    Args:
        encoder: any encoder with a timm backbone.
        size: side of its input, in pixels.

    Raises:
        ConfigError: the backbone lists no stages, or none of them is a feature map.
    """
    names = [stage["module"] for stage in getattr(encoder.backbone, "feature_info", None) or []]
    modules = {name: module for name, module in encoder.backbone.named_modules() if name in names}
    shapes: dict[str, torch.Size] = {}

    def note(name: str) -> Any:
        return lambda _module, _inputs, output: shapes.__setitem__(name, output.shape)

    handles = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    try:
        with torch.no_grad():
            encoder(torch.zeros(1, size, size, 3, device=encoder.mean.device))
    finally:
        for handle in handles:
            handle.remove()
    found = [candidate for name in shapes if (candidate := _candidate(encoder.backbone, name, shapes[name]))]
    if not found:
        raise ConfigError(
            f"{type(encoder.backbone).__name__}: timm's `feature_info` names no feature map in it, so Grad-CAM has "
            "nothing to read; use method=integrated_gradients"
        )
    large = [candidate for candidate in found if min(candidate.height, candidate.width) >= LEAST_CELLS]
    return large[-1] if large else max(found, key=lambda candidate: candidate.height * candidate.width)


def _candidate(backbone: nn.Module, name: str, shape: torch.Size) -> SpatialMap | None:
    prefix = int(getattr(backbone, "num_prefix_tokens", 0))
    if len(shape) == 3 and (side := math.isqrt(shape[1] - prefix)) ** 2 == shape[1] - prefix:
        if not hasattr(backbone.get_submodule(name), "norm1"):
            return None
        return SpatialMap(f"{name}.norm1", "tokens", prefix, side, side)
    if len(shape) == 4:
        layout = str(getattr(backbone, "output_fmt", "NCHW"))
        height, width = shape[1:3] if layout == "NHWC" else shape[2:4]
        return SpatialMap(name, layout, 0, height, width)
    return None


@contextmanager
def exposed_map(encoder: Encoder, where: SpatialMap) -> Iterator[nn.Module]:
    """Pass the map through an identity module whose output is (batch, channels, height, width) in every architecture.

    Yields:
        The module, for Captum's hooks; the encoder's output does not change.
    """
    layer, grid = encoder.backbone.get_submodule(where.layer), nn.Identity()

    def after(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if where.layout == "tokens":
            cells = output[:, where.prefix :].transpose(1, 2)
            cells = grid(cells.reshape(*cells.shape[:2], where.height, where.width)).flatten(2).transpose(1, 2)
            return torch.cat([output[:, : where.prefix], cells], dim=1)
        if where.layout == "NHWC":
            permuted: Tensor = grid(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return permuted
        same: Tensor = grid(output)
        return same

    handle = layer.register_forward_hook(after)
    try:
        yield grid
    finally:
        handle.remove()
