"""Learning-rate schedules, and when a schedule is stepped."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from src.contracts.errors import ConfigError
from src.training.monitor import Monitor

__all__ = ["constant", "cosine", "lightning_schedule", "one_cycle"]


def one_cycle(optimizer: Optimizer, *, total_steps: int, warmup: float = 0.1) -> OneCycleLR:
    """Raise and lower the learning rates along half cosines, by step (one cycle; Smith, Topin, 2018).

    Args:
        optimizer: its groups' rates are the peaks; a cycle starts at a hundredth of them.
        total_steps: number of training steps.
        warmup: share of the steps in which the rates rise, in [0, 1).
    """
    # OneCycleLR divides by the number of warm-up steps minus one.
    warm = max(2, round(_share(warmup) * total_steps))
    steps = max(total_steps, warm + 1)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=warm / steps,
        cycle_momentum=False,
        div_factor=100.0,
        final_div_factor=1e4,
    )


def cosine(optimizer: Optimizer, *, total_steps: int, warmup: float = 0.0, final: float = 0.0) -> LambdaLR:
    """Raise the learning rates linearly, then lower them along a half cosine, by step (Loshchilov, Hutter, SGDR, 2017).

    Args:
        optimizer: its groups' rates are the peaks.
        total_steps: number of training steps.
        warmup: share of the steps in which the rates rise, in [0, 1).
        final: share of the peaks that the rates would reach after the last step.
    """
    warm = round(_share(warmup) * total_steps)

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        progress = min(1.0, (step - warm) / max(1, total_steps - warm))
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, share)


def constant(optimizer: Optimizer, *, total_steps: int, warmup: float = 0.0) -> LambdaLR:
    """Raise the learning rates linearly, then keep them, by step.

    Args:
        optimizer: its groups' rates are those that are kept.
        total_steps: number of training steps.
        warmup: share of the steps in which the rates rise, in [0, 1).
    """
    warm = round(_share(warmup) * total_steps)
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(1, warm)))


def lightning_schedule(
    make: Callable[..., LRScheduler | ReduceLROnPlateau],
    optimizer: Optimizer,
    *,
    total_steps: int,
    monitor: Monitor,
    validate_every: int,
) -> dict[str, Any]:
    """Build a schedule, and describe to Lightning when it is stepped.

    A schedule that has an argument `total_steps` is stepped after each training step; `ReduceLROnPlateau` after each
    validation, with the monitored metric; any other after each epoch, in which torch's own count.

    Args:
        make: builds the schedule of an optimiser; gets `total_steps` if it has such an argument without a value.
        optimizer: the optimiser.
        total_steps: number of training steps.
        monitor: for `ReduceLROnPlateau`, which gets its `mode`.
        validate_every: epochs between validations.

    Returns:
        What a LightningModule's `configure_optimizers` returns as `lr_scheduler`; its curves are `lr/GROUP`.

    Raises:
        ConfigError: `ReduceLROnPlateau` was given the other mode.
    """
    if getattr(make, "func", make) is ReduceLROnPlateau:
        mode = getattr(make, "keywords", {}).get("mode", monitor.mode)
        if mode != monitor.mode:
            raise ConfigError(f"`scheduler.mode={mode}`: the best {monitor.name} is its {monitor.mode}; leave it out")
        make = partial(make, mode=mode)
    by_step = "total_steps" in inspect.signature(make).parameters
    given = "total_steps" in getattr(make, "keywords", {})
    schedule = make(optimizer, total_steps=total_steps) if by_step and not given else make(optimizer)
    described = {"scheduler": schedule, "name": "lr", "interval": "step" if by_step else "epoch"}
    if isinstance(schedule, ReduceLROnPlateau):
        return described | {"monitor": monitor.name, "frequency": validate_every}
    return described


def _share(warmup: float) -> float:
    if not 0 <= warmup < 1:
        raise ConfigError(f"`scheduler.warmup={warmup}`: a share of the steps, in [0, 1)")
    return warmup
