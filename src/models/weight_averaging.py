"""An exponential moving average of the weights, which is what is validated and kept."""

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["MovingAverage", "validated_module"]


class MovingAverage(WeightAveraging):
    """Lightning's, in one kernel for all weights; statistics of batch norms are averaged as well."""

    def __init__(self, decay: float) -> None:
        """See `OptimSettings.ema`."""
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def average(self) -> nn.Module | None:
        """The module with averaged weights; None while there is no average, and when training is over."""
        # Lightning gives no other way to it.
        model = self._average_model
        return model.module if model is not None and int(model.n_averaged) else None

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """After training the module holds the average; a validation that follows must not exchange it again."""
        self._average_model = None


def validated_module(trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> nn.Module:
    """The module whose weights are validated and kept: their average, where there is one, else what is trained."""
    averages = (
        callback.average()
        for callback in trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
        if isinstance(callback, MovingAverage)
    )
    return next((average for average in averages if average is not None), pl_module)
