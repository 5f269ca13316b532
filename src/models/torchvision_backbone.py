"""Networks of torchvision as backbones: `model.backbone=torchvision:NAME`."""

from collections.abc import Mapping
from typing import Any

import torchvision
from torch import nn

from src.contracts.errors import ConfigError

__all__ = ["TORCHVISION", "build_torchvision", "torchvision_preprocessing"]

TORCHVISION = "torchvision:"
_CLASSIFIERS = ("fc", "classifier", "heads", "head")


def build_torchvision(name: str, *, pretrained: bool, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a classification network without its last linear layer.

    Args:
        name: torchvision's.
        pretrained: take torchvision's default weights of that name (needs a network or a filled cache).
        arguments: further arguments of the network's function.

    Raises:
        ConfigError: no such network, or none that ends with a linear layer.
    """
    _check(name)
    network: nn.Module = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None, **arguments)
    return network


def without_classifier(network: nn.Module) -> nn.Module:
    """Replace the last linear layer by the identity, in place.

    Raises:
        ConfigError: the network does not end with one.
    """
    for part in _CLASSIFIERS:
        layers = [name for name, module in network.named_modules() if _within(name, part) and type(module) is nn.Linear]
        if layers:
            parent, _, last = layers[-1].rpartition(".")
            setattr(network.get_submodule(parent), last, nn.Identity())
            return network
    raise ConfigError(
        f"`model.backbone`: torchvision's {type(network).__name__} ends with no linear layer that could be left out; "
        "name a class of yours around it in `model.backbone._target_`"
    )


def torchvision_preprocessing(name: str) -> dict[str, Any]:
    """How the pixels of torchvision's default weights are made, as fields of `PreprocessingSpec`."""
    _check(name)
    used = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    size = used.crop_size[0]
    return {
        "size": size,
        "resize": "crop",
        "crop_fraction": size / used.resize_size[0],
        "interpolation": used.interpolation.value,
        "mean": list(used.mean),
        "std": list(used.std),
    }


def _check(name: str) -> None:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ConfigError(f"`model.backbone={TORCHVISION}{name}`: must be one of {', '.join(known)}")


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
