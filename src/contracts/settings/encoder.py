"""Settings of the encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.contracts.settings._problems import below
from src.contracts.settings.data import MISSING

__all__ = ["HEADS", "EncoderSettings", "LoraSettings", "encoder_problems"]

HEADS = ("mlp", "linear", "pca", "residual", "none", "bn_neck", "gem")


@dataclass
class LoraSettings:
    """Low-rank adapters (LoRA; Hu et al., 2021) on linear layers of the backbone, which alone train besides the head.

    Attributes:
        rank: of the adapters; null for none.
        alpha: an adapter's product is multiplied by alpha / rank.
        layers: ends of the names of the layers that get one: `qkv`, `attn.proj`, `mlp.fc1`.
    """

    rank: int | None = None
    alpha: float = 16.0
    layers: list[str] = field(default_factory=lambda: ["qkv", "proj"])


@dataclass
class EncoderSettings:
    """A backbone and a head.

    Attributes:
        backbone: a timm model name, or one that a package of `trust` registers with `timm.models.register_model`;
            `local-dir:DIR` or `hf-hub:NAME` for a folder or repository in timm's hub format; `torchvision:NAME`;
            `open_clip:NAME/TAG` for the image tower of a CLIP, where open_clip is installed; or `_target_` with
            arguments for a class of one's own.
        pretrained: take the weights of that name (needs a network or a filled cache, except for a folder).
        weights: take the weights of this file instead: safetensors, a checkpoint that holds tensors only, or an earlier
            run's checkpoints/best.ckpt, whose head comes with it; or of a folder that `src.export.publish` or timm
            wrote.
        backbone_kwargs: further arguments of `timm.create_model`, or of the other libraries' function.
        head: `mlp` (Linear-ReLU-Linear), `linear`, `pca` (linear, begins as the principal directions of the training
            images' features), `residual` (the backbone's own features plus a Linear-ReLU-Linear that begins as zero),
            `none` (the features alone), `bn_neck` (linear, then batch norm), `gem` (generalised-mean pooling, then
            linear), or one that a package of `trust` registers with `src.models.heads.register_head`; or `_target_`
            with arguments, as the files of conf/head give it.
        hidden_dim: width of the head's hidden layer.
        embedding_dim: numbers in an embedding; with `residual` and `none` it is the backbone's.
        lora: adapters on the backbone.
    """

    backbone: Any = MISSING
    pretrained: bool = True
    weights: str | None = None
    backbone_kwargs: dict[str, Any] = field(default_factory=dict)
    head: Any = "mlp"
    hidden_dim: int = 1024
    embedding_dim: int = 512
    lora: LoraSettings = field(default_factory=LoraSettings)


def encoder_problems(model: EncoderSettings, *, trust: Sequence[str] = ()) -> list[str]:
    """What cannot work, a line each; the names that packages of `trust` register are not known yet."""
    problems = below(model, "model", {"embedding_dim": 2, "hidden_dim": 1})
    if isinstance(model.head, str) and model.head not in HEADS and not trust:
        problems.append(
            f"`model.head={model.head}`: must be one of {', '.join(HEADS)}; a class of yours is named in "
            "`model.head._target_`"
        )
    problems += _unnamed(model.head, "model.head")
    problems += _unnamed(model.backbone, "model.backbone")
    if isinstance(model.backbone, Mapping) and model.backbone_kwargs:
        problems.append(
            f"`model.backbone_kwargs={model.backbone_kwargs}`: a class of yours takes its arguments beside "
            "`model.backbone._target_`"
        )
    return problems + _lora_problems(model.lora)


def _unnamed(part: Any, setting: str) -> list[str]:
    """Neither a name nor a class."""
    if isinstance(part, str) or (isinstance(part, Mapping) and part.get("_target_")):
        return []
    return [f"`{setting}={part}`: must be a name, or a class in `{setting}._target_` with its arguments beside it"]


def _lora_problems(lora: LoraSettings) -> list[str]:
    if lora.rank is None:
        return []
    problems = below(lora, "model.lora", {"rank": 1})
    if not 0 < lora.alpha < float("inf"):
        problems.append(f"`model.lora.alpha={lora.alpha}`: must be above 0; twice the rank is common")
    if not lora.layers:
        problems.append("`model.lora.layers=[]`: name layers, such as [qkv,proj], or set `model.lora.rank=null`")
    return problems
