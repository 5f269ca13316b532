"""The checkpoint from which a run is resumed, and the checks before that."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from src.contracts.errors import ConfigError, LookalikeError
from src.models.checkpoint import CARD, deciding_settings

__all__ = ["LAST", "LastCheckpoint", "last_checkpoint"]

LAST = Path("checkpoints") / "last.ckpt"
"""Path of a run's latest state, relative to its folder."""


def last_checkpoint(folder: Path, card: Mapping[str, Any]) -> Path | None:
    """The checkpoint from which a run in this folder is resumed; None where there is none.

    Args:
        folder: the run's.
        card: of the run; its deciding settings must equal the checkpoint's.

    Raises:
        ConfigError: the checkpoint belongs to another config; the message names what differs.
        LookalikeError: the checkpoint cannot be read.
    """
    path = folder / LAST
    if not path.is_file():
        return None
    try:
        before = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[CARD]
    except Exception as error:  # the reader raises many types of errors for damaged files
        raise LookalikeError(f"{path}: not a readable checkpoint ({error}); delete it to start anew") from error
    was, now = _flat(deciding_settings(before)), _flat(deciding_settings(card))
    differ = [
        f"`{name}` was {was.get(name, 'not set')}, is {now.get(name, 'not set')}"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]
    if differ:
        raise ConfigError(
            f"{path} is of a run with another config: {'; '.join(differ)}. Resume with that run's config, or train in "
            "another folder with hydra.run.dir=DIR"
        )
    return path


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted names, and values as JSON, where a tuple equals a list."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value)
    return flat


class LastCheckpoint(Checkpoint):
    """Saves a run's state every few steps and after each epoch, including the random number generators.

    An epoch's last step is saved after its validation, with its results: best score, patience, stopping.
    """

    def __init__(self, folder: Path, *, every: int) -> None:
        """Set the folder and the interval.

        Args:
            folder: the run's.
            every: steps between checkpoints, which are also written after each epoch.
        """
        super().__init__()
        self._folder, self._every = folder, every
        self._random: list[dict[str, Any]] | None = None
        self._stopped = False
        self._step = 0

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save within an epoch. Lightning calls checkpoint callbacks last, so other callbacks have seen the step."""
        # A batch whose gradient is accumulated is no step: a run resumed there would lack the gradient.
        step, self._step = self._step, trainer.global_step
        if step == trainer.global_step or trainer.global_step % self._every:
            return
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save after an epoch."""
        self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Random number generators of all processes, and whether training was stopped."""
        return {"random": _of_all_processes(_random_state()), "stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the generators' state until training starts: the set-up draws random numbers."""
        self._random = state_dict["random"]

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stop again where early stopping had ended the run; correct paths where the folder was moved."""
        trainer.should_stop = checkpoint["callbacks"][self.state_key]["stopped"]
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint):
                _move(checkpoint["callbacks"].get(callback.state_key, {}), callback.dirpath)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Restore the random number generators."""
        self._step = trainer.global_step
        if self._random is not None:
            _set_random_state(self._random[trainer.global_rank])
            self._random = None
        elif trainer.global_rank:
            # With one seed all processes would have the same dropout masks.
            torch.manual_seed(torch.initial_seed() + trainer.global_rank)

    def _save(self, trainer: lightning.Trainer) -> None:
        self._stopped = trainer.should_stop
        trainer.save_checkpoint(self._folder / LAST, weights_only=False)


def _move(state: dict[str, Any], folder: Any) -> None:
    """Rewrite ModelCheckpoint's paths after the run folder moved."""
    if not state:
        return
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[name] = str(Path(folder) / Path(state[name]).name) if state[name] else ""
    state["best_k_models"] = {str(Path(folder) / Path(p).name): s for p, s in state["best_k_models"].items()}
    state["dirpath"] = folder


def _random_state() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _of_all_processes(state: dict[str, Any]) -> list[dict[str, Any]]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [state]
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, state)
    return states
