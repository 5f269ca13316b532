"""Settings of `python train.py`."""

from dataclasses import dataclass, field
from typing import Any

from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings, data_problems

__all__ = ["EncoderSettings", "OptimSettings", "TrainSettings", "TrainerSettings"]

_ACCELERATORS = ("auto", "cpu", "gpu", "mps")

Component = dict[str, Any]
"""A class and its arguments, as Hydra instantiates them: `_target_` and keywords."""


@dataclass
class EncoderSettings:
    """A timm backbone and a projection head.

    Attributes:
        backbone: a timm model name.
        pretrained: take timm's weights of that name (needs a network or a filled cache).
        weights: take the weights of this file instead (safetensors, or a checkpoint that holds tensors only).
        backbone_kwargs: further arguments of `timm.create_model`.
        head: `mlp` (Linear-ReLU-Linear) or `none` (the backbone's own features: for the untrained baseline).
        hidden_dim: width of the head's hidden layer.
        embedding_dim: numbers in an embedding; with `none` it is the backbone's.
    """

    backbone: str = MISSING
    pretrained: bool = True
    weights: str | None = None
    backbone_kwargs: dict[str, Any] = field(default_factory=dict)
    head: str = "mlp"
    hidden_dim: int = 1024
    embedding_dim: int = 512


@dataclass
class OptimSettings:
    """AdamW whose learning rates rise and fall along half cosines, by step.

    Attributes:
        lr: peak learning rate of the head (and of a loss with weights of its own).
        backbone_lr: peak learning rate of the backbone.
        weight_decay: decoupled; biases and normalisation layers have none.
        warmup: share of the steps that warm up.
    """

    lr: float = 1e-3
    backbone_lr: float = 1e-4
    weight_decay: float = 0.05
    warmup: float = 0.1


@dataclass
class TrainerSettings:
    """How long and on what.

    Attributes:
        epochs: passes over the training items; 0 evaluates and saves the encoder as it is.
        precision: Lightning's name: `32-true` or `bf16-mixed`.
        gradient_clip: largest norm of the gradient.
        patience: validations without a better Recall@1 before training stops.
        validate_every: epochs from one validation to the next.
        accelerator: Lightning's name: `auto`, `cpu`, `gpu`.
        eval_batch: images embedded at once.
    """

    epochs: int = MISSING
    precision: str = "32-true"
    gradient_clip: float = 1.0
    patience: int = 5
    validate_every: int = 1
    accelerator: str = "auto"
    eval_batch: int = 128


@dataclass
class TrainSettings:
    """`python train.py`."""

    name: str = MISSING
    seed: int = 0
    data: DataSettings = field(default_factory=DataSettings)
    preprocessing: PreprocessingSpec = field(default_factory=PreprocessingSpec)
    model: EncoderSettings = field(default_factory=EncoderSettings)
    loss: Component = field(default_factory=dict)
    miner: Component = field(default_factory=dict)
    optim: OptimSettings = field(default_factory=OptimSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    logger: Component = field(default_factory=dict)

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = [*data_problems(self.data), *_encoder_problems(self.model)]
        if self.data.k < 2 and "_target_" in self.loss:
            loss = self.loss["_target_"].rsplit(".", 1)[-1]
            problems.append(f"`data.k={self.data.k}`: {loss} needs at least 2 images per item; set `data.k=4`")
        if self.data.p < 2:
            problems.append(f"`data.p={self.data.p}`: negatives need at least 2 items per batch; set `data.p=16`")
        problems += below(self.trainer, "trainer", {"patience": 1, "validate_every": 1, "eval_batch": 1, "epochs": 0})
        if self.trainer.precision not in ("32-true", "bf16-mixed"):
            problems.append(f"`trainer.precision={self.trainer.precision}`: must be 32-true or bf16-mixed")
        if self.trainer.accelerator not in _ACCELERATORS:
            names = ", ".join(_ACCELERATORS)
            problems.append(f"`trainer.accelerator={self.trainer.accelerator}`: must be one of {names}")
        if not self.trainer.gradient_clip > 0:
            problems.append(f"`trainer.gradient_clip={self.trainer.gradient_clip}`: must be above 0")
        if not 0 <= self.seed < 2**32:
            problems.append(f"`seed={self.seed}`: must lie in 0..{2**32 - 1}")
        if "_target_" not in self.loss:
            problems.append("`loss` names no class; choose one with loss=NAME (see conf/loss)")
        if not 0 <= self.optim.warmup < 1:
            problems.append(f"`optim.warmup={self.optim.warmup}`: a share of the steps, in [0, 1)")
        for name in ("lr", "backbone_lr", "weight_decay"):
            if not 0 <= getattr(self.optim, name) < float("inf"):
                problems.append(f"`optim.{name}={getattr(self.optim, name)}`: must be finite and not negative")
        raise_all(problems)


def _encoder_problems(model: EncoderSettings) -> list[str]:
    problems = below(model, "model", {"embedding_dim": 2, "hidden_dim": 1})
    if model.head not in ("mlp", "none"):
        problems.append(f"`model.head={model.head}`: must be mlp or none")
    return problems
