"""Settings of the encoder."""

from dataclasses import dataclass, field
from typing import Any

from src.contracts.settings._problems import below
from src.contracts.settings.data import MISSING

__all__ = ["HEADS", "EncoderSettings", "encoder_problems"]

HEADS = ("mlp", "linear", "pca", "residual", "none")


@dataclass
class EncoderSettings:
    """A timm backbone and a projection head.

    Attributes:
        backbone: a timm model name.
        pretrained: take timm's weights of that name (needs a network or a filled cache).
        weights: take the weights of this file instead: safetensors, a checkpoint that holds tensors only, or an earlier
            run's checkpoints/best.ckpt, whose head comes with it.
        backbone_kwargs: further arguments of `timm.create_model`.
        head: `mlp` (Linear-ReLU-Linear), `linear`, `pca` (linear, begins as the principal directions of the training
            images' features), `residual` (the backbone's own features plus a Linear-ReLU-Linear
            that begins as zero), or `none` (the features alone).
        hidden_dim: width of the head's hidden layer.
        embedding_dim: numbers in an embedding; with `residual` and `none` it is the backbone's.
    """

    backbone: str = MISSING
    pretrained: bool = True
    weights: str | None = None
    backbone_kwargs: dict[str, Any] = field(default_factory=dict)
    head: str = "mlp"
    hidden_dim: int = 1024
    embedding_dim: int = 512


def encoder_problems(model: EncoderSettings) -> list[str]:
    """What cannot work, a line each."""
    problems = below(model, "model", {"embedding_dim": 2, "hidden_dim": 1})
    if model.head not in HEADS:
        problems.append(f"`model.head={model.head}`: must be one of {', '.join(HEADS)}")
    return problems
