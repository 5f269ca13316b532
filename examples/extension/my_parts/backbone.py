"""A backbone: `model=my_model`, or by the name that is registered, `model.backbone=my_network`."""

from typing import Any, ClassVar

from timm.models import register_model
from torch import Tensor, nn

__all__ = ["MyNetwork", "my_network"]


class MyNetwork(nn.Module):
    """Two convolutions and a mean over places."""

    preprocessing: ClassVar = {"size": 64, "resize": "squash"}
    """What `preprocessing=as_weights` takes."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2), nn.ReLU(), nn.Conv2d(width, width, 3, stride=2), nn.ReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images of shape (batch, 3, height, width) to features of shape (batch, width)."""
        features: Tensor = self.layers(images).mean(dim=(2, 3))
        return features


@register_model
def my_network(pretrained: bool = False, width: int = 32, **_: Any) -> MyNetwork:
    """As timm builds it; `model.backbone_kwargs.width=64` sets its width."""
    return MyNetwork(width)
