"""Weights between those that training started from and those that it ended with."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from src.models.checkpoint_io import AtomicCheckpointIO

__all__ = ["SHARE", "choose_share", "interpolated"]

SHARE = "interpolation"
"""Where a checkpoint holds the share that was chosen, and the validation's score of each."""

log = logging.getLogger(__name__)
_PREFIX = "encoder."


def interpolated(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """(1 - share) * start + share * end (WiSE-FT; Wortsman et al., CVPR 2022, eq. 1), statistics of norms as well.

    Args:
        start: state of a module.
        end: another of the same; its whole numbers (counters) are kept.
        share: 0 is the start, 1 the end.

    Returns:
        The state between them.
    """
    return {
        name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
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
    monitor: str,
) -> float:
    """Validate the encoder at several shares and rewrite the checkpoint with the best of them.

    Only the validation split decides; of equal scores the share nearest to the start wins.

    Args:
        trainer: the one that trained; its loggers are not written to.
        module: holds `encoder`, whose weights are afterwards the chosen ones.
        datamodule: of the validation.
        start: the encoder's state before training, on the CPU.
        checkpoint: the best one of training; the share 1, which is always tried.
        shares: others that are tried.
        monitor: name of the score, higher is better.

    Returns:
        The chosen share.
    """
    encoder: Any = module.encoder
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if SHARE in content:  # a run that was over already, and was asked to go on
        return float(content[SHARE]["share"])
    state = content["state_dict"]
    end = {name[len(_PREFIX) :]: value for name, value in state.items() if name.startswith(_PREFIX)}
    loggers, trainer.loggers = trainer.loggers, []
    scores = {}
    for share in sorted({*shares, 1.0}):
        encoder.load_state_dict(interpolated(start, end, share))
        scores[share] = float(trainer.validate(module, datamodule, verbose=False)[0][monitor])
    trainer.loggers = loggers
    chosen = max(scores, key=lambda share: (scores[share], -share))
    log.info("interpolation, %s by share: %s; chosen: %g", monitor, scores, chosen)
    weights = interpolated(start, end, chosen)
    encoder.load_state_dict(weights)
    if trainer.is_global_zero:
        content["state_dict"] = state | {f"{_PREFIX}{name}": value for name, value in weights.items()}
        content[SHARE] = {"share": chosen, "scores": scores}
        AtomicCheckpointIO().save_checkpoint(content, checkpoint)
    trainer.strategy.barrier()
    return chosen
