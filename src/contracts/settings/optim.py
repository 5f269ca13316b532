"""Settings of the optimiser."""

from dataclasses import dataclass

__all__ = ["OptimSettings", "optim_problems"]


@dataclass
class OptimSettings:
    """AdamW whose learning rates rise and fall along half cosines, by step.

    Attributes:
        lr: peak learning rate of the head (and of a loss with weights of its own).
        backbone_lr: peak learning rate of the backbone.
        weight_decay: decoupled; biases and normalisation layers have none.
        warmup: share of the steps that warm up.
    """

    lr: float = 1e-3
    backbone_lr: float = 1e-4
    weight_decay: float = 0.05
    warmup: float = 0.1


def optim_problems(optim: OptimSettings) -> list[str]:
    """What cannot work, a line each."""
    problems = []
    if not 0 <= optim.warmup < 1:
        problems.append(f"`optim.warmup={optim.warmup}`: a share of the steps, in [0, 1)")
    for name in ("lr", "backbone_lr", "weight_decay"):
        if not 0 <= getattr(optim, name) < float("inf"):
            problems.append(f"`optim.{name}={getattr(optim, name)}`: must be finite and not negative")
    return problems
