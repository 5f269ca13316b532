"""The preprocessing that weights were trained with: size, mean, standard deviation, interpolation, crop."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import timm
from timm.data.config import resolve_data_config

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.models.checkpoint import read_card
from src.models.open_clip_backbone import OPEN_CLIP, open_clip_preprocessing
from src.models.own_module import own_class
from src.models.sources import FOLDER, HUB, backbone_name, hub_config
from src.models.torchvision_backbone import TORCHVISION, torchvision_preprocessing

__all__ = ["weights_preprocessing"]

_RESIZES = {"center": "crop", "squash": "squash", "border": "pad"}


def weights_preprocessing(model: Mapping[str, Any]) -> PreprocessingSpec:
    """Find out how the pixels of a model's weights are made.

    An earlier run and a published encoder bring their spec. timm, its folders and repositories, torchvision and
    open_clip describe theirs, of which the size, the crop and the interpolation are those of evaluation. A class of
    one's own has the attribute `preprocessing`, a dictionary of the spec's fields.

    Args:
        model: fields of `EncoderSettings`; `backbone` and `weights` decide.

    Raises:
        ConfigError: no such model, or none that describes it.
    """
    backbone, weights = model["backbone"], model.get("weights")
    card = read_card(Path(weights)) if weights else None
    if card is not None:
        return PreprocessingSpec.from_dict(card["preprocessing"])
    if not isinstance(backbone, str):
        described = getattr(own_class(backbone, setting="model.backbone"), "preprocessing", None)
    elif backbone.startswith(TORCHVISION):
        described = torchvision_preprocessing(backbone.removeprefix(TORCHVISION))
    elif backbone.startswith(OPEN_CLIP):
        described = open_clip_preprocessing(backbone.removeprefix(OPEN_CLIP))
    else:
        described = _of_timm(backbone, weights)
    if not described:
        raise ConfigError(
            f"`preprocessing=as_weights`: {backbone_name(backbone)} does not describe its pixels; choose another file "
            "of conf/preprocessing, or give the class an attribute `preprocessing`"
        )
    return PreprocessingSpec(**described)


def _of_timm(backbone: str, weights: str | None) -> dict[str, Any] | None:
    if backbone.startswith((FOLDER, HUB)):
        config = hub_config(backbone.removeprefix(FOLDER), setting="model.backbone")["pretrained_cfg"]
    elif weights and (weights.startswith(HUB) or Path(weights).is_dir()):
        config = hub_config(weights, setting="model.weights")["pretrained_cfg"]
    else:
        found = timm.get_pretrained_cfg(backbone) if timm.is_model(backbone) else None
        if found is None:
            return None
        config = asdict(found)
    used = resolve_data_config(pretrained_cfg=config)  # type: ignore[no-untyped-call]
    known = used["interpolation"] in ("bilinear", "bicubic", "lanczos")
    return {
        "size": used["input_size"][1],
        "resize": _RESIZES[used["crop_mode"]],
        "crop_fraction": min(used["crop_pct"], 1.0) if used["crop_mode"] == "center" else 1.0,
        "interpolation": used["interpolation"] if known else "bicubic",
        "mean": used["mean"],
        "std": used["std"],
    }
