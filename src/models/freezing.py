"""Parts of a backbone that do not move: its first stages, and the statistics of its batch norms."""

from collections.abc import Mapping
from typing import Any

import lightning
from timm.models import group_parameters
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.contracts.errors import ConfigError

__all__ = ["Freezing", "freeze_stages", "stages_of"]


def stages_of(backbone: Any) -> dict[str, int]:
    """The stage of each parameter of a timm network, by name, as timm groups them: 0 is the stem.

    A convolutional network's stages lie between two halvings of resolution, a vision transformer's are its blocks.

    Raises:
        ConfigError: timm says nothing of this network's stages.
    """
    if not hasattr(backbone, "group_matcher"):
        raise ConfigError(f"timm names no stages of {type(backbone).__name__}; set `optim.freeze=0`")
    stages: dict[str, int] = group_parameters(backbone, backbone.group_matcher(coarse=True), reverse=True)
    return stages


def freeze_stages(backbone: nn.Module, count: int, *, norms: bool = False) -> None:
    """Hold the first stages of a network as they are, and let the others train.

    A frozen stage has no gradients, hence no graph: nothing is kept of it for the backward pass. Its batch norms
    normalise by the statistics that they have, and do not update them.

    Args:
        backbone: a timm network in training mode.
        count: stages, counted from the input; all stages may be frozen.
        norms: no batch norm of the network updates its statistics; those of the other stages still train their weights.

    Raises:
        ConfigError: there are fewer stages.
    """
    stages = stages_of(backbone) if count else dict.fromkeys((name for name, _ in backbone.named_parameters()), 0)
    total = 1 + max(stages.values())
    if count > total:
        raise ConfigError(
            f"`optim.freeze={count}`: {type(backbone).__name__} has {total} stages; {total} freeze all of it"
        )
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(stages[name] >= count)
    for name, module in backbone.named_modules():
        if isinstance(module, _BatchNorm):
            module.train(not norms and stages.get(f"{name}.weight", total) >= count)


class Freezing(lightning.Callback):
    """Freezes stages of the encoder's backbone, and lets them go by epoch.

    The optimiser knows all parameters from the start and passes over those without gradient, so neither its groups nor
    a checkpoint of it change when a stage is let go; its rate is then what the schedule of rates says.
    """

    def __init__(self, *, stages: int, unfreeze: Mapping[int, int] | None = None, norms: bool = False) -> None:
        """See `OptimSettings.freeze`, `unfreeze` and `freeze_norm`."""
        self._schedule = {0: stages, **(unfreeze or {})}
        self._norms = norms

    def frozen(self, epoch: int) -> int:
        """Stages that do not move in an epoch, the first being 0."""
        return self._schedule[max(start for start in self._schedule if start <= epoch)]

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Before processes agree on which gradients they exchange, which they do once.

        Raises:
            ConfigError: fewer stages than are to be frozen, or nothing but them to train.
        """
        if stage == "fit":
            self._freeze(trainer, pl_module)
            if not any(parameter.requires_grad for parameter in pl_module.parameters()):
                raise ConfigError(
                    f"`optim.freeze={self.frozen(trainer.current_epoch)}`: nothing is left to train; freeze fewer "
                    "stages, or choose a head (`model.head=mlp`)"
                )
            # Lightning warns of what is in evaluation mode before it calls the next hook.
            pl_module.train()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A run that goes on within an epoch does not begin it."""
        self._freeze(trainer, pl_module)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Let go what is due."""
        self._freeze(trainer, pl_module)

    def _freeze(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        encoder: Any = pl_module.encoder
        freeze_stages(encoder.backbone, self.frozen(trainer.current_epoch), norms=self._norms)
