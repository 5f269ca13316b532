"""A range test of the learning rate before training."""

import csv
import io
import logging
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import LearningRateFinder

from src.contracts.atomic_file import write_atomically

__all__ = ["RATES", "RateFinder"]

log = logging.getLogger(__name__)

RATES = "rates.csv"
"""Name of the table in the run's folder: the rate of each step of the test, and the smoothed loss."""


class RateFinder(LearningRateFinder):
    """Lightning's range test: takes steps at rising rates, and suggests the one at which the loss falls most steeply.

    All groups of parameters have the same rate in the test. Then weights, optimiser and random numbers are as before,
    and the run trains with the rates of its config, which its checkpoint states: Lightning's callback would give all
    groups the suggested rate, and the schedule would take it back after a step. A run that is resumed is not tested.
    """

    def __init__(self, *, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100) -> None:
        """Set the range.

        Args:
            lowest: rate of the first step.
            highest: rate of the last step; the test ends before where the loss is four times its lowest value.
            steps: number of steps; a suggestion needs more than 13.
        """
        super().__init__(min_lr=lowest, max_lr=highest, num_training_steps=steps, update_attr=False)

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Test, write the table and log the suggestion."""
        if trainer.ckpt_path is not None:
            return
        # The test may take more steps than the run, and needs no validation.
        epochs, validate_every = trainer.fit_loop.max_epochs, trainer.check_val_every_n_epoch
        trainer.fit_loop.max_epochs, trainer.check_val_every_n_epoch = -1, self._num_training_steps + 1
        try:
            self.lr_find(trainer, pl_module)
        finally:
            trainer.fit_loop.max_epochs, trainer.check_val_every_n_epoch = epochs, validate_every
            trainer.ckpt_path = None  # else the file from which the weights were restored, which is gone
        if self.optimal_lr is None or not trainer.is_global_zero:
            return
        found = self.optimal_lr.results
        table = io.StringIO()
        csv.writer(table).writerows([("rate", "loss"), *zip(found["lr"], found["loss"], strict=True)])
        path = Path(trainer.default_root_dir) / RATES
        write_atomically(path, table.getvalue())
        rate = self.optimal_lr.suggestion()
        log.info(
            "rates from %.1e to %.1e were tried (%s); %s",
            found["lr"][0],
            found["lr"][-1],
            path,
            "too few steps for a suggestion" if rate is None else f"the loss falls most steeply at optim.lr={rate:.1e}",
        )
