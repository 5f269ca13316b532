"""Failures of training that the user can mend, with a message that names the fix and the last checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from src.contracts.errors import LookalikeError
from src.training.last_checkpoint import LAST

__all__ = ["StopWhenNotFinite", "explained_failures"]

_INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended: 128 + SIGINT."""


class StopWhenNotFinite(lightning.Callback):
    """Ends training when a loss or the norm of a gradient is not finite, before a checkpoint is saved.

    It checks each step on the CPU, and every few steps elsewhere, where a check synchronises with the device.
    """

    def __init__(self, *, every: int) -> None:
        """Set how often to check on devices other than the CPU.

        Args:
            every: steps between checks; each step with a checkpoint must be a multiple.
        """
        self._every = every
        self._bad: Tensor | None = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Accumulate the result of each step, and check it in the steps that `every` names."""
        bad = ~torch.isfinite(outputs["loss"])
        norm = getattr(pl_module, "gradient_norm", None)
        # With float16 the scale of the loss is found by overflowing; such steps are skipped.
        if norm is not None and getattr(trainer.precision_plugin, "scaler", None) is None:
            bad = bad | ~torch.isfinite(norm)
        self._bad = bad if self._bad is None else self._bad | bad
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if bad.device.type == "cpu" or trainer.global_step % self._every == 0 or progress.is_last_batch:
            if bool(self._bad):
                raise LookalikeError(
                    f"loss or gradient is not finite at step {trainer.global_step}, epoch {trainer.current_epoch + 1}: "
                    "lower `optim.lr` and `optim.backbone_lr`, raise `scheduler.warmup`, or set "
                    f"`trainer.precision=32-true` if it is another{_last_checkpoint_note(trainer)}"
                )
            self._bad = None


@contextmanager
def explained_failures(trainer: lightning.Trainer) -> Iterator[None]:
    """Turn lack of memory and Ctrl-C during training into a message.

    Raises:
        LookalikeError: out of memory on the device or the machine.
        SystemExit: 130, after Ctrl-C.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "no memory"
        raise LookalikeError(
            "out of memory: embed the batch in parts with `trainer.chunk=32` (the same gradient, a third more time), "
            "lower `data.p` or `data.k`, or set `trainer.precision=bf16-mixed`; in validation, lower "
            f"`trainer.eval_batch`{_last_checkpoint_note(trainer)} ({reason})"
        ) from error
    except (KeyboardInterrupt, SystemExit):
        if trainer.interrupted:
            print(f"interrupted at step {trainer.global_step}{_last_checkpoint_note(trainer)}")
            raise SystemExit(_INTERRUPTED) from None
        raise


def _is_out_of_memory(error: BaseException) -> bool:
    # The CPU's allocator raises a plain RuntimeError.
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)


def _last_checkpoint_note(trainer: lightning.Trainer) -> str:
    path = Path(trainer.default_root_dir) / LAST
    if not path.is_file():
        return "; no checkpoint was written yet"
    return (
        f"; {path} is kept: the same config with hydra.run.dir={trainer.default_root_dir} trainer.resume=true "
        "continues from it, another config starts anew"
    )
