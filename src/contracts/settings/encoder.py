"""Settings of the encoder."""

from collections.abc import Sequence
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
        backbone: a timm model name, or one that a package of `trust` registers with `timm.models.register_model`.
        pretrained: take timm's weights of that name (needs a network or a filled cache).
        weights: take the weights of this file instead: safetensors, a checkpoint that holds tensors only, or an earlier
            run's checkpoints/best.ckpt, whose head comes with it.
        backbone_kwargs: further arguments of `timm.create_model`.
        head: `mlp` (Linear-ReLU-Linear), `linear`, `pca` (linear, begins as the principal directions of the training
            images' features), `residual` (the backbone's own features plus a Linear-ReLU-Linear
            that begins as zero), `none` (the features alone), or one that a package of `trust` registers with
            `src.models.heads.register_head`.
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


def encoder_problems(model: EncoderSettings, *, trust: Sequence[str] = ()) -> list[str]:
    """What cannot work, a line each; the names that packages of `trust` register are not known yet."""
    problems = below(model, "model", {"embedding_dim": 2, "hidden_dim": 1})
    if model.head not in HEADS and not trust:
        problems.append(f"`model.head={model.head}`: must be one of {', '.join(HEADS)}")
    return problems
