"""Logs diagnostics of training steps: embeddings, throughput, and a warning when embeddings collapse."""

import logging
import time
from typing import Any

import lightning
import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import nn

from src.datamodules.training_set import Batch
from src.losses.diagnostics import diagnose

__all__ = ["StepDiagnostics", "collapsed", "triplet_margin"]

log = logging.getLogger(__name__)

_APART = 0.1
_DIRECTIONS = 2.0
_MEASUREMENTS = 3
_MARGIN = 0.1


def triplet_margin(objective: nn.Module) -> float:
    """The margin of the triplet loss in an objective, in distance; 0.1 where there is none.

    Other losses' margins are angles or similarities, not distances.
    """
    losses = (module for module in objective.modules() if isinstance(module, TripletMarginLoss))
    return next((float(loss.margin) for loss in losses), _MARGIN)


def collapsed(found: dict[str, float], items: int) -> str | None:
    """Describe the collapse of a batch's embeddings, where they no longer separate items.

    Args:
        found: from `diagnose`.
        items: number of different items in the batch.

    Returns:
        A clause for a message, or None. The rank is not judged for fewer than eight items.
    """
    if found["negative_distance"] < _APART:
        return f"images of different items lie {found['negative_distance']:.3f} apart on average, of at most 2"
    if items >= 8 and found["effective_rank"] < _DIRECTIONS:
        return f"the embeddings of {items} items fill {found['effective_rank']:.1f} directions"
    return None


class StepDiagnostics(lightning.Callback):
    """Measures the steps that are logged (`log_every_n_steps`), and the time of all steps.

    Logs as `train/NAME` the results of `diagnose`; `images_per_second`; and `waiting`, the share of the time between
    the end of a step and the start of the next, in which the batch is read, copied to the device and augmented.
    Validation is excluded. It warns once where embeddings are collapsed in three measurements in a row.
    """

    def __init__(self, *, margin: float) -> None:
        """Set the margin, see `diagnose`."""
        self._margin = margin
        self._images, self._waited, self._worked = 0, 0.0, 0.0
        self._began = 0.0
        self._ended: float | None = None
        self._bad, self._warned = 0, False

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Restart the clock after a validation."""
        self._ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Measure the waiting time for the batch."""
        self._began = time.perf_counter()
        # A run that resumes within an epoch has no epoch start, so the clock may not run.
        self._waited += self._began - self._ended if self._ended is not None else 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Add the step's time; measure the step if it is logged."""
        self._images += len(batch.pixels)
        now = time.perf_counter()
        self._worked += now - self._began
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]  # set by a connector
            self._measure(trainer, pl_module, outputs, batch)
            seconds = self._waited + self._worked
            rates = {"images_per_second": self._images / seconds, "waiting": self._waited / seconds}
            pl_module.log_dict({f"train/{name}": value for name, value in rates.items()})
            self._images, self._waited, self._worked = 0, 0.0, 0.0
        self._ended = now

    def _measure(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Batch
    ) -> None:
        tensors = diagnose(outputs["embeddings"], batch.facts.items, self._margin)
        pl_module.log_dict({f"train/{name}": value for name, value in tensors.items()})
        found = {name: value.item() for name, value in tensors.items()}
        wrong = collapsed(found, len(torch.unique(batch.facts.items)))
        self._bad = self._bad + 1 if wrong else 0
        if wrong and self._bad == _MEASUREMENTS and not self._warned:
            self._warned = True
            rates = ", ".join(
                f"{rate:.1g}" for rate in sorted({group["lr"] for group in trainer.optimizers[0].param_groups})
            )
            log.warning(
                "the encoder has collapsed at step %d: %s. This rarely recovers. Lower `optim.lr` and "
                "`optim.backbone_lr` (rates now: %s), use an easier miner (`miner=none` or semi-hard negatives, not "
                "the hardest), a larger margin, or more images per item (`data.k`); and check the labels",
                trainer.global_step,
                wrong,
                rates,
            )
