"""Backbones: networks of timm, torchvision, open_clip, or one's own, from images to features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from src.contracts.errors import ConfigError, LookalikeError
from src.models.open_clip_backbone import OPEN_CLIP, build_open_clip
from src.models.own_module import arguments_of, make_module, own_class
from src.models.sources import HUB, backbone_name, hub_config
from src.models.torchvision_backbone import TORCHVISION, build_torchvision, without_classifier

__all__ = ["build_backbone", "example_features"]

_OFFLINE = "which need a network (without one, `model.weights=FILE`)"


def build_backbone(
    backbone: str | Mapping[str, Any],
    *,
    size: int,
    pretrained: bool = False,
    weights: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    maps: bool = False,
) -> nn.Module:
    """Build a network without a classifier.

    Args:
        backbone: see `EncoderSettings`; folders and repositories are resolved before (`resolved_source`).
        size: side of the pictures, in pixels.
        pretrained: take the weights of that name.
        weights: a file, a folder in timm's hub format, or `hf-hub:NAME`; takes precedence.
        arguments: further arguments of the network.
        maps: leave out the pooling as well.

    Raises:
        ConfigError: no such network, unknown arguments, or weights that do not fit or cannot be loaded.
    """
    if weights is not None and not weights.startswith(HUB) and not Path(weights).exists():
        raise ConfigError(f"`model.weights={weights}`: no such file; give a path, or take weights by name with null")
    name = backbone_name(backbone)
    given = dict(arguments or {})
    by_name = pretrained and weights is None
    try:
        if not isinstance(backbone, str):
            network = _own(backbone, by_name=by_name, weights=weights)
        elif backbone.startswith(TORCHVISION):
            network = build_torchvision(backbone.removeprefix(TORCHVISION), pretrained=by_name, arguments=given)
            network = without_classifier(_loaded(network, weights))
        elif backbone.startswith(OPEN_CLIP):
            network = build_open_clip(
                backbone.removeprefix(OPEN_CLIP), size=size, pretrained=by_name, weights=weights, arguments=given
            )
        else:
            return _of_timm(backbone, size=size, by_name=by_name, weights=weights, arguments=given, maps=maps)
    except LookalikeError:
        raise
    except Exception as error:  # libraries do not wrap the errors of hub clients, readers and constructors
        source = weights or (f"weights by name, {_OFFLINE}" if by_name else "new weights")
        raise ConfigError(f"`model.backbone={name}` with {source}: {type(error).__name__}: {error}") from error
    return network


def _own(backbone: Mapping[str, Any], *, by_name: bool, weights: str | None) -> nn.Module:
    if by_name:
        raise ConfigError(
            f"`model.pretrained=true`: {backbone_name(backbone)} has no weights by name; set `model.pretrained=false`, "
            "or `model.weights=FILE`"
        )
    kind = own_class(backbone, setting="model.backbone")
    return _loaded(make_module(kind, arguments_of(backbone), setting="model.backbone"), weights)


def _loaded(network: nn.Module, weights: str | None) -> nn.Module:
    if weights is not None:
        network.load_state_dict(timm.models.load_state_dict(weights, weights_only=True))
    return network


def _of_timm(
    backbone: str, *, size: int, by_name: bool, weights: str | None, arguments: dict[str, Any], maps: bool
) -> nn.Module:
    if ":" in backbone or not timm.is_model(backbone):
        near = ", ".join(timm.list_models(f"{backbone.split('_')[0]}*")[:5])
        raise ConfigError(
            f"`model.backbone={backbone}`: no timm model; similar names: {near or 'none'}. Other sources: {HUB}NAME, "
            f"local-dir:DIR, {TORCHVISION}NAME, {OPEN_CLIP}NAME. If a package of yours registers it, import that with "
            "`trust=[PACKAGE]`"
        )
    if backbone.startswith("vit") or "img_size" in arguments:
        arguments.setdefault("img_size", size)
    network: Any
    if weights is not None and (weights.startswith(HUB) or Path(weights).is_dir()):
        held = hub_config(weights, setting="model.weights")["architecture"]
        if held != timm.models.get_arch_name(backbone):
            raise ConfigError(f"`model.weights={weights}`: holds {held}, but `model.backbone={backbone}`")
        source = weights if weights.startswith(HUB) else f"local-dir:{weights}"
        network = timm.create_model(source, pretrained=True, **arguments)
    else:
        network = timm.create_model(backbone, pretrained=by_name, checkpoint_path=weights or "", **arguments)
    if hasattr(network, "reset_classifier"):
        network.reset_classifier(0, "") if maps else network.reset_classifier(0)
    return network


def example_features(network: Any, size: int) -> Tensor:
    """What a backbone gives for one black picture.

    Raises:
        ConfigError: the network does not take such pictures, or gives no features or maps.
    """
    network.eval()
    try:
        with torch.no_grad():
            features = network(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise ConfigError(
            f"`model.backbone`: {type(network).__name__} does not take images of shape (1, 3, {size}, {size}): {error}"
        ) from error
    network.train()
    if not isinstance(features, Tensor) or features.ndim not in (2, 3, 4):
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ConfigError(
            f"`model.backbone`: {type(network).__name__} gives {got}; it must give features of shape (batch, width), "
            "or for a head that pools, maps of shape (batch, channels, height, width)"
        )
    return features
