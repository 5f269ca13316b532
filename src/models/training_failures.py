"""How training ends when it cannot go on: with what to change, and with the last good checkpoint in its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from src.contracts.errors import LookalikeError
from src.models.last_checkpoint import LAST

__all__ = ["StopWhenNotFinite", "explained_failures"]

_INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended: 128 + SIGINT."""


class StopWhenNotFinite(lightning.Callback):
    """Ends training when a loss or the norm of a gradient is not finite, before anything of it is saved.

    On the CPU it looks at each step; elsewhere, where looking waits for the device, every few steps.
    """

    def __init__(self, *, every: int) -> None:
        """Say how often to look, on devices where that costs time.

        Args:
            every: steps; each step with a checkpoint must be among them.
        """
        self._every = every
        self._bad: Tensor | None = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Remember, and look now and then."""
        bad = ~torch.isfinite(outputs["loss"])
        norm = getattr(pl_module, "gradient_norm", None)
        if norm is not None:
            bad = bad | ~torch.isfinite(norm)
        self._bad = bad if self._bad is None else self._bad | bad
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if bad.device.type == "cpu" or trainer.global_step % self._every == 0 or progress.is_last_batch:
            if bool(self._bad):
                raise LookalikeError(
                    f"loss or gradient is not finite at step {trainer.global_step}, epoch {trainer.current_epoch + 1}: "
                    "lower `optim.lr` and `optim.backbone_lr`, raise `optim.warmup`, or set "
                    f"`trainer.precision=32-true` if it is another{_kept(trainer)}"
                )
            self._bad = None


@contextmanager
def explained_failures(trainer: lightning.Trainer) -> Iterator[None]:
    """Training in here ends with a message where memory runs out, and with a hint where Ctrl-C ends it.

    Raises:
        LookalikeError: the device or the machine has no memory left.
        SystemExit: 130, after Ctrl-C.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise LookalikeError(
            "out of memory: embed the batch in parts with `trainer.chunk=32` (the same gradient, a third more time), "
            "lower `data.p` or `data.k`, or set `trainer.precision=bf16-mixed`; in validation, lower "
            f"`trainer.eval_batch`{_kept(trainer)} ({str(error).splitlines()[0] if str(error) else 'no memory'})"
        ) from error
    except (KeyboardInterrupt, SystemExit):
        if trainer.interrupted:
            print(f"interrupted at step {trainer.global_step}{_kept(trainer)}")
            raise SystemExit(_INTERRUPTED) from None
        raise


def _is_out_of_memory(error: BaseException) -> bool:
    # What the CPU's allocator raises has no type of its own.
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)


def _kept(trainer: lightning.Trainer) -> str:
    path = Path(trainer.default_root_dir) / LAST
    if not path.is_file():
        return "; no checkpoint was written yet"
    return (
        f"; {path} is kept: the same config with hydra.run.dir={trainer.default_root_dir} trainer.resume=true goes on, "
        "another config begins anew"
    )
