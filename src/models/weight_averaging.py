"""An exponential moving average of the weights, which is what is validated and kept."""

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["MovingAverage"]


class MovingAverage(WeightAveraging):
    """Lightning's, in one kernel for all weights; statistics of batch norms are averaged as well."""

    def __init__(self, decay: float) -> None:
        """See `OptimSettings.ema`."""
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """After training the module holds the average; a validation that follows must not exchange it again."""
        self._average_model = None
