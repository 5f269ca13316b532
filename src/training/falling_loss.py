"""Whether the loss of one fixed batch fell."""

import logging
from collections import deque
from typing import Any

import lightning
import torch
from torch import Tensor

from src.contracts.errors import LookalikeError

__all__ = ["FallingLoss"]

log = logging.getLogger(__name__)
_STEPS = 5


class FallingLoss(lightning.Callback):
    """Compares the means of the first and the last five losses when training ends.

    Raises:
        LookalikeError: the loss is not lower at the end, and was not 0 at the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first: list[Tensor] = []
        self._last: deque[Tensor] = deque(maxlen=_STEPS)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Keep a step's loss."""
        loss = outputs["loss"].detach()
        self._last.append(loss)
        if len(self._first) < _STEPS:
            self._first.append(loss)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compare."""
        if not self._first:
            return
        start, end = (float(torch.stack(list(losses)).mean()) for losses in (self._first, self._last))
        if end >= start and start > 0:
            raise LookalikeError(
                f"the loss of one fixed batch did not fall: {start:.4g} at the start, {end:.4g} after "
                f"{trainer.global_step} steps. Raise or lower `optim.lr` and `optim.backbone_lr`; try loss=infonce "
                "miner=none, which has a gradient wherever items are confused; and check that `optim.freeze` leaves "
                "something to train"
            )
        log.info("one fixed batch: loss %.4g at the start, %.4g after %d steps", start, end, trainer.global_step)
