"""Schedules against torch's own, and when each is stepped."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from src.contracts.errors import ConfigError
from src.training.monitor import MONITOR, Monitor
from src.training.schedules import constant, cosine, lightning_schedule, one_cycle

RATES = (0.3, 0.02)


def optimizer() -> Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in RATES])


def rates(make: Callable[[Optimizer], LRScheduler], steps: int) -> np.ndarray:
    """The rate of each group in each step."""
    used = optimizer()
    schedule = make(used)
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in used.param_groups])
        used.step()
        schedule.step()
    return np.array(found)


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_cosine_is_torchs_linear_rise_and_cosine_fall(steps: int, warmup: float) -> None:
    warm = round(warmup * steps)

    def reference(used: Optimizer) -> LRScheduler:
        fall = CosineAnnealingLR(used, T_max=max(1, steps - warm))
        if not warm:
            return fall
        rise = LinearLR(used, start_factor=1 / warm, total_iters=max(1, warm - 1)) if warm > 1 else None
        return SequentialLR(used, [rise or LinearLR(used, start_factor=1.0), fall], milestones=[warm])

    ours = rates(lambda used: cosine(used, total_steps=steps, warmup=warmup), steps)
    np.testing.assert_allclose(ours, rates(reference, steps), rtol=1e-5, atol=1e-9)


def test_cosine_ends_at_its_share_of_the_rates() -> None:
    found = rates(lambda used: cosine(used, total_steps=20, final=0.1), 21)
    np.testing.assert_allclose(found[0], RATES)
    np.testing.assert_allclose(found[20], np.array(RATES) / 10)


def test_a_constant_rate_may_rise_first() -> None:
    np.testing.assert_allclose(rates(lambda used: constant(used, total_steps=9), 9), [RATES] * 9)
    found = rates(lambda used: constant(used, total_steps=10, warmup=0.4), 10)
    np.testing.assert_allclose(found[:, 0] / RATES[0], [0.25, 0.5, 0.75, *[1.0] * 7])


@pytest.mark.parametrize("warmup", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("schedule", [constant, cosine, one_cycle])
def test_a_share_that_is_none_is_refused(schedule: Callable[..., LRScheduler], warmup: float) -> None:
    with pytest.raises(ConfigError, match=r"`scheduler\.warmup=.*`: a share of the steps, in \[0, 1\)"):
        schedule(optimizer(), total_steps=10, warmup=warmup)


def described(make: Callable[..., LRScheduler | ReduceLROnPlateau]) -> dict[str, object]:
    return lightning_schedule(make, optimizer(), total_steps=40, monitor=MONITOR, validate_every=3)


def test_a_schedule_over_all_steps_is_told_their_number_and_stepped_by_step() -> None:
    for make in (one_cycle, partial(cosine, warmup=0.1), partial(OneCycleLR, max_lr=0.1)):
        found = described(make)
        assert (found["interval"], found["name"]) == ("step", "lr")
    assert found["scheduler"].total_steps == 40
    # A number that is given is kept.
    assert described(partial(OneCycleLR, max_lr=0.1, total_steps=7))["scheduler"].total_steps == 7


def test_other_schedules_of_torch_count_epochs() -> None:
    assert described(partial(MultiStepLR, milestones=[2]))["interval"] == "epoch"


def test_a_plateau_is_judged_after_each_validation() -> None:
    found = described(partial(ReduceLROnPlateau, patience=2))
    assert (found["interval"], found["monitor"], found["frequency"]) == ("epoch", "val/recall@1", 3)
    assert (found["scheduler"].mode, found["scheduler"].patience) == ("max", 2)
    error = Monitor("val/error", "min")
    found = lightning_schedule(ReduceLROnPlateau, optimizer(), total_steps=40, monitor=error, validate_every=1)
    assert (found["scheduler"].mode, found["monitor"]) == ("min", "val/error")
    assert described(partial(ReduceLROnPlateau, mode="max"))["scheduler"].mode == "max"
    with pytest.raises(ConfigError, match=r"`scheduler\.mode=min`: the best val/recall@1 is its max; leave it out"):
        described(partial(ReduceLROnPlateau, mode="min"))
