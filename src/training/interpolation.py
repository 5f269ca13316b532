"""Interpolate between the weights at the start and at the end of training."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from src.training.checkpoint_io import AtomicCheckpointIO
from src.training.monitor import Monitor

__all__ = ["SHARE", "choose_share", "interpolated"]

SHARE = "interpolation"
"""Key of the checkpoint entry with the chosen share and the validation score of each share."""

log = logging.getLogger(__name__)
_PREFIX = "encoder."


def interpolated(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """(1 - share) * start + share * end (WiSE-FT; Wortsman et al., CVPR 2022, eq. 1), including running statistics.

    Args:
        start: state of a module.
        end: another state of the same module; its integers (counters) are kept. So is the first matrix of an adapter:
            the second is zero at the start, so that the merged weights are interpolated.
        share: 0 is the start, 1 the end.

    Returns:
        The state between them.
    """
    return {
        name: torch.lerp(start[name], value, share)
        if value.is_floating_point() and not name.endswith(".lora_a")
        else value
        for name, value in end.items()
    }


def choose_share(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    datamodule: lightning.LightningDataModule,
    *,
    start: Mapping[str, Tensor],
    checkpoint: Path,
    shares: Sequence[float],
    monitor: Monitor,
) -> float:
    """Validate the encoder at several shares, and rewrite the checkpoint with the best one.

    Only the validation split decides; of equal scores the smallest share is chosen.

    Args:
        trainer: the trainer of the run; its loggers are not written to.
        module: its `encoder` gets the chosen weights.
        datamodule: of the validation.
        start: the encoder's state before training, on the CPU.
        checkpoint: the best one of training, which is the share 1 and always tried.
        shares: further shares to try.
        monitor: the score.

    Returns:
        The chosen share.
    """
    encoder: Any = module.encoder
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if SHARE in content:  # a finished run that is resumed
        return float(content[SHARE]["share"])
    state = content["state_dict"]
    end = {name[len(_PREFIX) :]: value for name, value in state.items() if name.startswith(_PREFIX)}
    loggers, trainer.loggers = trainer.loggers, []
    scores = {}
    for share in sorted({*shares, 1.0}):
        encoder.load_state_dict(interpolated(start, end, share))
        scores[share] = float(trainer.validate(module, datamodule, verbose=False)[0][monitor.name])
    trainer.loggers = loggers
    sign = 1 if monitor.mode == "max" else -1
    chosen = max(scores, key=lambda share: (sign * scores[share], -share))
    log.info("interpolation, %s by share: %s; chosen: %g", monitor.name, scores, chosen)
    weights = interpolated(start, end, chosen)
    encoder.load_state_dict(weights)
    if trainer.is_global_zero:
        content["state_dict"] = state | {f"{_PREFIX}{name}": value for name, value in weights.items()}
        content[SHARE] = {"share": chosen, "scores": scores}
        AtomicCheckpointIO().save_checkpoint(content, checkpoint)
    trainer.strategy.barrier()
    return chosen
