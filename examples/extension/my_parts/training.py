"""An optimiser, a schedule, a callback and a transform."""

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["GrayHalf", "InverseRoot", "SignSGD", "StepCounter"]


class SignSGD(torch.optim.Optimizer):
    """Steps of the size of the rate: `optimizer=my_optimizer`."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of each parameter that has a gradient."""
        loss = torch.enable_grad()(closure)() if closure else None
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is not None:
                    weights.mul_(1 - group["lr"] * group.get("weight_decay", 0)).sub_(group["lr"] * weights.grad.sign())
        return loss


class InverseRoot(LambdaLR):
    """Rates fall with the square root of the steps; `total_steps` makes it count steps: `scheduler=my_scheduler`."""

    def __init__(self, optimizer: torch.optim.Optimizer, total_steps: int) -> None:
        super().__init__(optimizer, lambda step: (1 + 10 * step / total_steps) ** -0.5)


class StepCounter(lightning.Callback):
    """Logs how many steps were made: `callbacks=my_callback`."""

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Log the number."""
        pl_module.log("train/my_steps", float(trainer.global_step))


class GrayHalf(nn.Module):
    """Takes the colour from half of the images: `augmentation=my_transform`."""

    def forward(self, image: Tensor) -> Tensor:
        """Uint8 of shape (3, height, width) to the same."""
        return image.float().mean(0, keepdim=True).expand_as(image).byte() if torch.rand(()) < 0.5 else image
