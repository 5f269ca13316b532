"""An exponential moving average of the weights, which is validated and saved."""

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["MovingAverage", "validated_module"]


class MovingAverage(WeightAveraging):
    """Lightning's callback, with one kernel for all weights; batch norm statistics are averaged as well."""

    def __init__(self, decay: float) -> None:
        """See `OptimSettings.ema`."""
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def average(self) -> nn.Module | None:
        """The module with averaged weights; None before the first update and after training."""
        # Lightning has no public attribute for it.
        model = self._average_model
        return model.module if model is not None and int(model.n_averaged) else None

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Drop the average: the module holds it after training, and a later validation must not swap it again."""
        self._average_model = None


def validated_module(trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> nn.Module:
    """The module that is validated and saved: the average where there is one, else the trained module."""
    averages = (
        callback.average()
        for callback in trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
        if isinstance(callback, MovingAverage)
    )
    return next((average for average in averages if average is not None), pl_module)
