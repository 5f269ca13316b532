"""Parameter groups: learning rate and weight decay of each parameter."""

from typing import Any

from timm.models import group_parameters
from torch import nn

from src.contracts.errors import ConfigError
from src.models.encoder import Encoder

__all__ = ["layer_scales", "parameter_groups"]


def layer_scales(backbone: Any, layer_decay: float) -> dict[str, float]:
    """The share of the backbone's rate for each parameter of a timm network, by name.

    The last layer has a share of 1, and each layer below `layer_decay` times that of the layer above (Bao et al., BEiT,
    2022). Layers are timm's, which are finer than its stages: one for each block.

    Raises:
        ConfigError: timm does not define this network's layers, and `layer_decay` is not 1.
    """
    if layer_decay == 1:
        return {name: 1.0 for name, _ in backbone.named_parameters()}
    if not hasattr(backbone, "group_matcher"):
        raise ConfigError(f"timm names no layers of {type(backbone).__name__}; set `optim.layer_decay=1`")
    layers = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
    last = max(layers.values())
    return {name: layer_decay ** (last - layer) for name, layer in layers.items()}


def parameter_groups(
    encoder: Encoder,
    objective: nn.Module,
    *,
    lr: float,
    backbone_lr: float,
    proxy_lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Make an optimiser's groups; each parameter is in one, whether it is frozen or not.

    Vectors (biases, norms) have no weight decay, and neither have parameters that timm excludes (positions, class
    tokens).

    Args:
        encoder: its backbone's layers have their own rates, its head has `lr`.
        objective: its own parameters (proxies) have `proxy_lr`.
        lr: of the head.
        backbone_lr: of the backbone's last layer.
        proxy_lr: of the objective's parameters.
        weight_decay: of the parameters that decay.
        layer_decay: see `layer_scales`.

    Returns:
        Dictionaries with `params`, `lr`, `weight_decay` and a `name` of its own: `head`, `backbone`, `proxies`, with
        ` x 0.5` for layers at half of the rate, and ` (no decay)`.
    """
    backbone: Any = encoder.backbone
    scales = layer_scales(backbone, layer_decay)
    excluded = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else set()
    found: list[tuple[nn.Parameter, str, float, bool]] = []
    for name, value in backbone.named_parameters():
        part = "backbone" if scales[name] == 1 else f"backbone x {scales[name]:.9g}"
        found.append((value, part, backbone_lr * scales[name], name in excluded))
    found += [(value, "head", lr, False) for value in encoder.head.parameters()]
    found += [(value, "proxies", proxy_lr, False) for value in objective.parameters()]
    groups: dict[str, dict[str, Any]] = {}
    for parameter, part, rate, excepted in found:
        decays = parameter.ndim > 1 and not excepted
        name = part if decays else f"{part} (no decay)"
        group = {"params": [], "lr": rate, "weight_decay": weight_decay if decays else 0.0, "name": name}
        groups.setdefault(name, group)["params"].append(parameter)
    return list(groups.values())
