"""Freeze the first stages of a backbone, and the statistics of its batch norms."""

from collections.abc import Mapping
from typing import Any

import lightning
from timm.models import group_parameters
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.contracts.errors import ConfigError
from src.models.lora import adapter_names

__all__ = ["Freezing", "freeze_stages", "stages_of"]


def stages_of(backbone: Any) -> dict[str, int]:
    """The stage of each parameter of a timm network, by name, as timm groups them: 0 is the stem.

    A convolutional network's stages lie between two halvings of resolution, a vision transformer's are its blocks.

    Raises:
        ConfigError: timm does not define this network's stages.
    """
    if not hasattr(backbone, "group_matcher"):
        raise ConfigError(f"timm names no stages of {type(backbone).__name__}; set `optim.freeze=0`")
    stages: dict[str, int] = group_parameters(backbone, backbone.group_matcher(coarse=True), reverse=True)
    return stages


def freeze_stages(backbone: nn.Module, count: int, *, norms: bool = False) -> None:
    """Freeze the first stages of a network, and make the others trainable.

    A frozen stage has no gradients, hence no graph: it saves nothing for the backward pass. Its batch norms use their
    running statistics and do not update them.

    Args:
        backbone: a timm network in training mode.
        count: stages, counted from the input; all stages may be frozen. Where layers have adapters (LoRA), nothing
            else trains, and no batch norm changes its statistics.
        norms: freeze the statistics of all batch norms; those of the other stages still train their weights.

    Raises:
        ConfigError: there are fewer stages.
    """
    stages = stages_of(backbone) if count else dict.fromkeys((name for name, _ in backbone.named_parameters()), 0)
    total = 1 + max(stages.values())
    if count > total:
        raise ConfigError(
            f"`optim.freeze={count}`: {type(backbone).__name__} has {total} stages; {total} freeze all of it"
        )
    adapters = adapter_names(backbone)
    norms = norms or bool(adapters)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(stages[name] >= count and (not adapters or name in adapters))
    for name, module in backbone.named_modules():
        if isinstance(module, _BatchNorm):
            module.train(not norms and stages.get(f"{name}.weight", total) >= count)


class Freezing(lightning.Callback):
    """Freezes stages of the encoder's backbone, and unfreezes them by a schedule of epochs.

    The optimiser has all parameters from the start and skips those without gradient: its groups and its checkpoint do
    not change when a stage is unfrozen, whose learning rate is then that of the schedule.
    """

    def __init__(self, *, stages: int, unfreeze: Mapping[int, int] | None = None, norms: bool = False) -> None:
        """See `OptimSettings.freeze`, `unfreeze` and `freeze_norm`."""
        self._schedule = {0: stages, **(unfreeze or {})}
        self._norms = norms

    def frozen(self, epoch: int) -> int:
        """Number of frozen stages in an epoch, counted from 0."""
        return self._schedule[max(start for start in self._schedule if start <= epoch)]

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Freeze before DDP registers the gradients that processes exchange, which it does once.

        Raises:
            ConfigError: there are too few stages, or no trainable parameter remains.
        """
        if stage == "fit":
            self._freeze(trainer, pl_module)
            if not any(parameter.requires_grad for parameter in pl_module.parameters()):
                raise ConfigError(
                    f"`optim.freeze={self.frozen(trainer.current_epoch)}`: no trainable parameter remains; freeze "
                    "fewer stages, or choose a head (`model.head=mlp`)"
                )
            # Before the next hook Lightning warns of modules in evaluation mode.
            pl_module.train()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Freeze in a run that resumes within an epoch, which has no epoch start."""
        self._freeze(trainer, pl_module)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Unfreeze the stages of this epoch."""
        self._freeze(trainer, pl_module)

    def _freeze(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        encoder: Any = pl_module.encoder
        freeze_stages(encoder.backbone, self.frozen(trainer.current_epoch), norms=self._norms)
