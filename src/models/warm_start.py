"""The initial weights of training: random, timm's by name, a file's, or those of an earlier run."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EncoderSettings
from src.models.checkpoint import load_encoder, read_card
from src.models.encoder import Encoder, build_encoder
from src.models.heads import head_class, portable_head
from src.models.lora import add_lora
from src.models.own_module import own_class
from src.models.sources import HUB, backbone_name, resolved_source
from src.models.weights_preprocessing import weights_preprocessing

__all__ = ["initial_encoder"]

log = logging.getLogger(__name__)

_HEAD = ("head", "hidden_dim", "embedding_dim")


def initial_encoder(*, spec: PreprocessingSpec, lora: Mapping[str, Any] | None = None, **model: Any) -> Encoder:
    """Build the encoder that training starts from.

    Where `weights` is a checkpoint of train.py, backbone and head are loaded from it; where the head differs in kind or
    size, only the backbone, with a warning. The new run's card names the earlier run and its method.

    Args:
        spec: the preprocessing.
        lora: see `EncoderSettings`; an earlier run's adapters are a part of its weights.
        model: the further arguments of `build_encoder`.

    Raises:
        ConfigError: as `build_encoder`; or the earlier run had another backbone or preprocessing.
        LookalikeError: the checkpoint is damaged.
    """
    model = resolved_source(model)
    weights = model.pop("weights", None)
    card = read_card(Path(weights)) if weights else None
    if weights is None or card is None:
        if weights is None or weights.startswith(HUB) or Path(weights).is_dir():
            _warn_of_other_statistics({**model, "weights": weights}, spec)
        return build_encoder(spec=spec, weights=weights, lora=lora, **model)
    earlier_pixels = PreprocessingSpec.from_dict(card["preprocessing"])
    problems = [*_other_backbone(card["model"], model), *_other_pixels(earlier_pixels, spec)]
    if problems:
        raise ConfigError(
            f"`model.weights={weights}`: the run {card['name']!r} does not fit these settings:\n  "
            + "\n  ".join(problems)
        )
    # Of a class that the config names, an earlier run's weights are welcome too.
    head_class(model.get("head", "mlp"))
    if isinstance(model["backbone"], Mapping):
        own_class(model["backbone"], setting="model.backbone")
    earlier, _, _ = load_encoder(Path(weights), setting="model.weights")
    encoder = build_encoder(spec=spec, **{**model, "pretrained": False})
    # Cards of older versions name no head.
    was = asdict(EncoderSettings()) | card["model"]
    now = was | model
    now["head"] = portable_head(now["head"])
    encoder = _continued(encoder, earlier, was=was, now=now, run=card["name"])
    if lora is not None and lora["rank"] is not None:
        add_lora(encoder.backbone, size=spec.size, **lora)
    return encoder


def _continued(
    encoder: Encoder, earlier: Encoder, *, was: Mapping[str, Any], now: Mapping[str, Any], run: str
) -> Encoder:
    if was["head"] == now["head"] and _shapes(earlier.head) == _shapes(encoder.head):
        encoder.load_state_dict(earlier.state_dict())
        log.info("start: backbone and head of the run %r", run)
        return encoder
    encoder.backbone.load_state_dict(earlier.backbone.state_dict())
    differences = ", ".join(f"model.{name} was {was[name]}, is {now[name]}" for name in _HEAD if was[name] != now[name])
    log.warning("start: the backbone alone of the run %r, with a new head (%s)", run, differences)
    return encoder


def _warn_of_other_statistics(model: Mapping[str, Any], spec: PreprocessingSpec) -> None:
    """Warn where pixels are normalised in another way than those that the weights were trained on."""
    if not model.get("pretrained") and model["weights"] is None:
        return
    try:
        theirs = weights_preprocessing(model)
    except ConfigError:  # what they were is not known
        return
    if (theirs.mean, theirs.std) != (spec.mean, spec.std):
        log.warning(
            "the weights of %s were trained with mean %s and std %s, `preprocessing` has %s and %s; "
            "`preprocessing=as_weights` takes theirs",
            backbone_name(model["backbone"]), theirs.mean, theirs.std, spec.mean, spec.std,
        )  # fmt: skip


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def _other_backbone(earlier: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    absent: dict[str, Any] = {"backbone_kwargs": {}}
    pairs = [(name, earlier[name], model.get(name, absent.get(name))) for name in ("backbone", "backbone_kwargs")]
    return [f"`model.{name}` was {one}, is {other}" for name, one, other in pairs if (one or {}) != (other or {})]


def _other_pixels(earlier: PreprocessingSpec, spec: PreprocessingSpec) -> list[str]:
    if earlier == spec:
        return []
    was, now = asdict(earlier), asdict(spec)
    differences = ", ".join(
        f"`preprocessing.{name}` was {was[name]}, is {now[name]}" for name in now if was[name] != now[name]
    )
    return [f"preprocessing {earlier.hash} there, {spec.hash} here: {differences}"]
