"""Settings of the optimiser."""

from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["OptimSettings", "optim_problems"]


@dataclass
class OptimSettings:
    """Learning rates, weight decay, and what of the encoder trains; see `optimizer` and `scheduler` for the rest.

    Attributes:
        lr: peak learning rate of the head.
        backbone_lr: peak learning rate of the backbone.
        proxy_lr: peak learning rate of a loss's own weights (proxies of items), which start at random and are many: 100
            times that of a pretrained network in Kim et al., Proxy Anchor, 2020.
        weight_decay: as the optimiser applies it; biases and normalisation layers have none.
        layer_decay: the backbone's last layer learns at `backbone_lr`, each below it at so much of the one above. 1 is
            off.
        freeze: stages of the backbone, counted from the input, that do not move: neither their weights nor the
            statistics of their batch norms. Stages are timm's: MobileNetV2 has 8, a ResNet 5, a ViT one more than it
            has blocks.
        unfreeze: by epoch (the first is 0), how many stages stay frozen from there on: {2: 4, 4: 0}.
        freeze_norm: no batch norm of the backbone changes its statistics, be its stage frozen or not.
        ema: decay, by step, of an exponential moving average of the weights, which is what is validated and kept; about
            the last 1 / (1 - ema) steps count. 0 is off.
        l2_sp: weight of half the squared distance of the backbone's weights from where they started. 0 is off.
        relations: weight of how much the distances within a batch differ from those of the encoder that training
            started from, which embeds each batch as well. 0 is off.
        interpolate: shares of the trained weights, the rest being those of the start, that are tried after training;
            the validation split chooses among them and 1. Empty is off.
    """

    lr: float = 1e-3
    backbone_lr: float = 1e-4
    proxy_lr: float = 1e-2
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    freeze: int = 0
    unfreeze: dict[int, int] = field(default_factory=dict)
    freeze_norm: bool = False
    ema: float = 0.0
    l2_sp: float = 0.0
    relations: float = 0.0
    interpolate: list[float] = field(default_factory=list)


def optim_problems(optim: OptimSettings) -> list[str]:
    """What cannot work, a line each."""
    problems = []
    for name in ("lr", "backbone_lr", "proxy_lr", "weight_decay", "l2_sp", "relations"):
        if not 0 <= getattr(optim, name) < float("inf"):
            problems.append(f"`optim.{name}={getattr(optim, name)}`: must be finite and not negative")
    if not all(0 <= share <= 1 for share in optim.interpolate):
        problems.append(f"`optim.interpolate={optim.interpolate}`: shares of the trained weights, each in [0, 1]")
    if not 0 < optim.layer_decay <= 1:
        problems.append(f"`optim.layer_decay={optim.layer_decay}`: must lie in (0, 1]; 1 is off")
    if not 0 <= optim.ema < 1:
        problems.append(f"`optim.ema={optim.ema}`: a decay by step, in [0, 1); 0 is off, 0.99 counts about 100 steps")
    if optim.freeze < 0:
        problems.append(f"`optim.freeze={optim.freeze}`: must be at least 0")
    epochs = sorted(optim.unfreeze)
    frozen = [optim.freeze, *(optim.unfreeze[epoch] for epoch in epochs)]
    if any(epoch < 1 for epoch in epochs) or any(not 0 <= later < earlier for earlier, later in pairwise(frozen)):
        problems.append(
            f"`optim.unfreeze={optim.unfreeze}`: epochs from 1 on, each with fewer frozen stages than before "
            f"(`optim.freeze={optim.freeze}` until then)"
        )
    return problems
