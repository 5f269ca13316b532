"""Settings of the trainer."""

from dataclasses import dataclass, field
from typing import Any

from src.contracts.settings._problems import below
from src.contracts.settings.data import MISSING

__all__ = ["TrainerSettings", "trainer_problems"]

_ACCELERATORS = ("auto", "cpu", "gpu", "mps")
_PRECISIONS = (
    "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "transformer-engine",
    "transformer-engine-float16",
)  # fmt: skip


@dataclass
class TrainerSettings:
    """How long and on what.

    Attributes:
        epochs: passes over the training items; 0 evaluates and saves the encoder as it is.
        precision: Lightning's name: `32-true`, `bf16-mixed`, `16-mixed`, `bf16-true`, ...
        gradient_clip: largest norm of the gradient.
        patience: validations without a better `metric.monitor` before training stops.
        validate_every: epochs from one validation to the next.
        accelerator: Lightning's name: `auto`, `cpu`, `gpu`.
        eval_batch: images embedded at once.
        checkpoint_every: steps from one `last.ckpt` to the next; each epoch ends with one as well.
        resume: go on from the `last.ckpt` in the run's folder, if there is one.
        pause_at: share of the epochs after which training pauses: at the next validation; `resume` with a larger share
            continues it. The schedule is that of all epochs.
        devices: GPUs, or with `accelerator=cpu` processes, that share each batch; `data.p` must be a multiple.
        sync_batchnorm: batch norms use the statistics of all GPUs' images, not of their own.
        chunk: images embedded at a time in training, for large batches in small memory; 0 embeds a batch at once.
        overfit: train on one fixed batch, for so many steps an epoch, without augmentation, and validate on it, to see
            whether the loss falls; 0 trains on all.
        compile: compile the encoder with `torch.compile`.
        lightning: further arguments of `lightning.Trainer`, by its names: `max_steps`, `limit_train_batches`,
            `accumulate_grad_batches`, `profiler`, `fast_dev_run`, ...
    """

    epochs: int = MISSING
    precision: str = "32-true"
    gradient_clip: float = 1.0
    patience: int = 5
    validate_every: int = 1
    accelerator: str = "auto"
    eval_batch: int = 128
    checkpoint_every: int = 500
    resume: bool = False
    pause_at: float = 1.0
    devices: int = 1
    sync_batchnorm: bool = False
    chunk: int = 0
    overfit: int = 0
    compile: bool = False
    lightning: dict[str, Any] = field(default_factory=dict)


def trainer_problems(trainer: TrainerSettings) -> list[str]:
    """What cannot work, a line each."""
    least = {
        "patience": 1,
        "validate_every": 1,
        "eval_batch": 1,
        "epochs": 0,
        "checkpoint_every": 1,
        "devices": 1,
        "chunk": 0,
        "overfit": 0,
    }
    problems = below(trainer, "trainer", least)
    if trainer.precision not in _PRECISIONS:
        problems.append(f"`trainer.precision={trainer.precision}`: must be one of {', '.join(_PRECISIONS)}")
    if trainer.accelerator not in _ACCELERATORS:
        names = ", ".join(_ACCELERATORS)
        problems.append(f"`trainer.accelerator={trainer.accelerator}`: must be one of {names}")
    if not 0 < trainer.pause_at <= 1:
        problems.append(f"`trainer.pause_at={trainer.pause_at}`: must be above 0 and at most 1")
    if not trainer.gradient_clip > 0:
        problems.append(f"`trainer.gradient_clip={trainer.gradient_clip}`: must be above 0")
    if trainer.sync_batchnorm and (trainer.devices == 1 or trainer.accelerator == "cpu"):
        problems.append("`trainer.sync_batchnorm=true`: there must be several GPUs; set `trainer.devices`, or false")
    return problems
