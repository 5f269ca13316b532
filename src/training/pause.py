"""Pause a training after a share of its epochs, to be resumed from its last checkpoint."""

import math

import lightning

__all__ = ["Pause", "pause_epoch"]


class Pause(lightning.Callback):
    """Ends training after an epoch as after the last one; the schedule stays that of all epochs."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lower the number of epochs. The schedule was made before."""
        trainer.fit_loop.max_epochs = self.epoch


def pause_epoch(share: float, *, epochs: int, validate_every: int) -> int:
    """The epoch, from 1, that has been trained and validated when a share of all epochs has.

    Args:
        share: above 0, at most 1.
        epochs: all of them.
        validate_every: epochs from one validation to the next.

    >>> pause_epoch(0.25, epochs=10, validate_every=1), pause_epoch(0.25, epochs=10, validate_every=2)
    (3, 4)
    """
    # Less than a rounding error above a whole number is that number: 0.1 * 3 * 10.
    wanted = math.ceil(share * epochs - 1e-9)
    return min(math.ceil(max(wanted, 1) / validate_every) * validate_every, epochs)
