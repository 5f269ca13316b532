"""Configure Lightning's trainer, and run the training."""

import inspect
import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import Logger

from src.contracts.errors import ConfigError, LookalikeError
from src.models.allocator import keep_freed_memory
from src.training.checkpoint_io import AtomicCheckpointIO
from src.training.failures import StopWhenNotFinite, explained_failures
from src.training.interpolation import choose_share
from src.training.last_checkpoint import LAST, LastCheckpoint
from src.training.metric_learning import MetricLearning
from src.training.monitor import MONITOR, Monitor
from src.training.pause import Pause, pause_epoch

__all__ = ["BEST", "build_trainer", "fit"]

BEST = Path("checkpoints") / "best.ckpt"
"""Path of a run's best checkpoint, relative to its folder."""

_LOG_EVERY = 10
_SET_ELSEWHERE = {
    "accelerator": "trainer.accelerator",
    "callbacks": "callbacks",
    "check_val_every_n_epoch": "trainer.validate_every",
    "default_root_dir": "hydra.run.dir",
    "devices": "trainer.devices",
    "gradient_clip_val": "trainer.gradient_clip",
    "logger": "logger",
    "max_epochs": "trainer.epochs",
    "precision": "trainer.precision",
    "sync_batchnorm": "trainer.sync_batchnorm",
}
"""Arguments of `lightning.Trainer` that have a setting of their own."""
_REFUSED = {
    "enable_checkpointing": "a run is its best checkpoint",
    "limit_val_batches": "the metrics need all images of the split; validate less often with `trainer.validate_every`",
    "overfit_batches": "batches are made of items; train on one with debug=overfit",
    "use_distributed_sampler": "the loaders give each process its share",
}
"""Arguments that would break a run, and why."""


def build_trainer(
    *,
    folder: Path,
    loggers: Sequence[Logger],
    callbacks: Sequence[lightning.Callback],
    epochs: int,
    precision: str,
    gradient_clip: float,
    patience: int,
    validate_every: int,
    accelerator: str,
    checkpoint_every: int,
    pause_at: float = 1.0,
    devices: int = 1,
    sync_batchnorm: bool = False,
    monitor: Monitor = MONITOR,
    arguments: Mapping[str, Any] | None = None,
) -> lightning.Trainer:
    """Build a trainer that keeps the checkpoint with the best monitored value and stops when it no longer improves.

    Args:
        folder: the run's; checkpoints go into `folder/checkpoints`.
        loggers: loggers of the metrics.
        callbacks: one of them must log the monitored value. An `EarlyStopping` among them takes the place of ours.
        epochs: most epochs.
        precision: Lightning's name.
        gradient_clip: largest norm of the gradient.
        patience: validations without a better value before training stops.
        validate_every: epochs between validations.
        accelerator: Lightning's name.
        checkpoint_every: steps between checkpoints of the latest state.
        pause_at: share of the epochs after which training pauses.
        devices: number of GPUs or CPU processes; above 1 this script is started once for each further one.
        sync_batchnorm: see `TrainerSettings`.
        monitor: the value.
        arguments: further arguments of `lightning.Trainer`, which take precedence.

    Raises:
        ConfigError: an accelerator that this machine does not have, or arguments that Lightning does not have or that
            have a setting of their own.
    """
    given = {} if arguments is None else dict(arguments)
    _check_arguments(given)
    keep_freed_memory()
    # Deterministic algorithms would also initialise every new tensor, which costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # made at run time
    # Lightning's INFO messages advertise, and users cannot fix its use of deprecated functions.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", module=r"lightning\..*")
    # Every process has the loss of the whole batch and the metrics of all images, so there is nothing to reduce.
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*", module=r"lightning\..*")
    checkpoint = ModelCheckpoint(
        dirpath=folder / BEST.parent,
        filename=BEST.stem,
        monitor=monitor.name,
        mode=monitor.mode,
        enable_version_counter=False,
    )
    stopping = []
    if not any(isinstance(callback, EarlyStopping) for callback in callbacks):
        stopping.append(EarlyStopping(monitor=monitor.name, mode=monitor.mode, patience=patience, check_finite=True))
    last = [] if given.get("fast_dev_run") else [LastCheckpoint(folder, every=checkpoint_every)]
    finite = StopWhenNotFinite(every=math.gcd(_LOG_EVERY, checkpoint_every))
    until = pause_epoch(pause_at, epochs=epochs, validate_every=validate_every) if epochs else 0
    pause = [Pause(until)] if until < epochs else []
    rates = [LearningRateMonitor("step")] if loggers else []
    try:
        ours: dict[str, Any] = {
            "default_root_dir": folder,
            "logger": list(loggers),
            "callbacks": [
                *callbacks,
                *pause,
                finite,
                checkpoint,
                *last,
                *stopping,
                *rates,
                RichProgressBar(leave=False),
            ],
            # With 0 it would not validate; `fit` does not train with epochs=0.
            "max_epochs": max(epochs, 1),
            "precision": precision,
            "gradient_clip_val": gradient_clip,
            "check_val_every_n_epoch": validate_every,
            "accelerator": accelerator,
            "plugins": [AtomicCheckpointIO()],
            "devices": devices,
            "strategy": "ddp" if devices > 1 else "auto",
            "sync_batchnorm": sync_batchnorm,
            # Our loaders give each process its share.
            "use_distributed_sampler": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": _LOG_EVERY,
            "deterministic": "warn",
            "enable_model_summary": False,
        }
        return lightning.Trainer(**{**ours, **given})
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(
            f"`trainer.accelerator={accelerator}`, `trainer.devices={devices}`, `trainer.precision={precision}`"
            f"{f', `trainer.lightning={given}`' if given else ''}: {error}"
        ) from error


def _check_arguments(given: Mapping[str, Any]) -> None:
    known = list(inspect.signature(lightning.Trainer).parameters)
    problems = []
    for name, value in given.items():
        at = f"`trainer.lightning.{name}={value}`"
        if name in _SET_ELSEWHERE:
            problems.append(f"{at}: set `{_SET_ELSEWHERE[name]}` instead")
        elif name in _REFUSED:
            problems.append(f"{at}: {_REFUSED[name]}; leave it out")
        elif name not in known:
            problems.append(f"{at}: lightning.Trainer has no such argument; it has {', '.join(known)}")
    if problems:
        raise ConfigError("\n".join(problems))


def fit(
    trainer: lightning.Trainer,
    module: MetricLearning,
    datamodule: lightning.LightningDataModule,
    *,
    epochs: int,
    resume: Path | None = None,
    compiled: bool = False,
) -> Path | None:
    """Train, or with `epochs=0` save the encoder as it is, and return the best checkpoint.

    Nothing is kept, and the result is None, if the trainer was built with `fast_dev_run`.

    Args:
        trainer: of `build_trainer`.
        module: the module to train.
        datamodule: the training and validation data.
        epochs: as given to `build_trainer`.
        resume: the checkpoint to resume from; without one, an older run's in this folder is deleted.
        compiled: whether to compile the encoder.

    Raises:
        LookalikeError: training failed: values that are not finite, out of memory, or no validation.
        SystemExit: 130, after Ctrl-C.
    """
    if epochs == 0:
        path = Path(trainer.default_root_dir) / BEST
        trainer.validate(module, datamodule, verbose=False)
        trainer.save_checkpoint(path, weights_only=False)
        return path
    start = {name: value.clone() for name, value in module.encoder.state_dict().items()} if module.interpolate else {}
    if resume is None:
        (Path(trainer.default_root_dir) / LAST).unlink(missing_ok=True)
    # Pixels are channels-last; with weights in the same layout convolutions need not convert them in each step.
    module.encoder.to(memory_format=torch.channels_last)
    if compiled:
        module.encoder.compile()
    with explained_failures(trainer):
        trainer.fit(module, datamodule, ckpt_path=resume, weights_only=True)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by a connector
        return None
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if not best:
        raise LookalikeError(
            f"no validation took place in {trainer.global_step} steps of {epochs} epoch(s), so there is no checkpoint; "
            "lower `trainer.validate_every`, or give a short run short epochs with "
            "`trainer.lightning.limit_train_batches=10`"
        )
    # A paused training is not at its end yet.
    if module.interpolate and (trainer.max_epochs or epochs) >= epochs:
        shares = module.interpolate
        choose_share(
            trainer, module, datamodule, start=start, checkpoint=Path(best), shares=shares, monitor=module.monitor
        )
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return Path(best)
