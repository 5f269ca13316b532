"""Names of networks: a timm model, a folder or a repository in timm's hub format, and what these stand for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timm.models import load_model_config_from_hf
from timm.models._hub import load_model_config_from_path

from src.contracts.errors import ConfigError
from src.models.zoo import read_zoo_card

__all__ = ["FOLDER", "HUB", "backbone_name", "hub_config", "resolved_source"]

FOLDER = "local-dir:"
HUB = "hf-hub:"

_OFFLINE = (
    "without a network, fetch its config.json and model.safetensors elsewhere and give their folder, "
    "`model.backbone=local-dir:DIR`"
)


def backbone_name(backbone: str | Mapping[str, Any]) -> str:
    """The name of a backbone; for one of one's own, that of its class."""
    return backbone if isinstance(backbone, str) else str(backbone.get("_target_", "")).rsplit(".", 1)[-1]


def resolved_source(model: Mapping[str, Any]) -> dict[str, Any]:
    """Replace a folder or repository in `backbone` by the timm model that it holds, and take its weights.

    The encoder can then be built without the folder or the network, which is what a checkpoint needs.

    Args:
        model: arguments of `build_encoder`.

    Returns:
        The arguments, with `backbone` a timm name, `backbone_kwargs` those of the folder below one's own, and where
        `pretrained`, `weights` the folder or `hf-hub:NAME`. Other backbones stay as they are.

    Raises:
        ConfigError: there is no such folder or repository, or it cannot be read.
    """
    backbone = model["backbone"]
    if not isinstance(backbone, str) or not backbone.startswith((FOLDER, HUB)):
        return dict(model)
    source = backbone.removeprefix(FOLDER)
    card = None if source.startswith(HUB) else read_zoo_card(Path(source))
    if card is not None:
        name, arguments = card["model"]["backbone"], card["model"].get("backbone_kwargs") or {}
    else:
        config = hub_config(source, setting="model.backbone")
        name, arguments = config["architecture"], _needed(config["architecture"], config["model_args"])
    found = dict(model)
    found["backbone"] = name
    found["backbone_kwargs"] = {**arguments, **(model.get("backbone_kwargs") or {})}
    if model.get("pretrained") and model.get("weights") is None:
        found["weights"] = source
    return found


def _needed(architecture: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Without arguments of the classifier, and without the size where the preprocessing sets it."""
    left_out = {"num_classes", "in_chans"} | ({"img_size"} if architecture.startswith("vit") else set())
    return {name: value for name, value in arguments.items() if name not in left_out and value != ""}


def hub_config(source: str, *, setting: str) -> dict[str, Any]:
    """Read the config of a folder or of a repository on the Hugging Face Hub.

    Args:
        source: a folder, or `hf-hub:NAME`.
        setting: the setting that named it, for messages.

    Returns:
        `architecture`, `model_args`, and `pretrained_cfg` with the preprocessing.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        if source.startswith(HUB):
            cfg, architecture, arguments = load_model_config_from_hf(source.removeprefix(HUB))
        else:
            cfg, architecture, arguments = load_model_config_from_path(source)
    except Exception as error:  # the hub client raises many types of errors
        fix = _OFFLINE if source.startswith(HUB) else "it must hold config.json and model.safetensors in timm's format"
        first = str(error).splitlines()[0] if str(error) else ""
        raise ConfigError(f"`{setting}={source}`: {type(error).__name__}: {first}; {fix}") from error
    cfg = cfg if isinstance(cfg, Mapping) else cfg.to_dict()
    return {"architecture": architecture, "model_args": dict(arguments or {}), "pretrained_cfg": dict(cfg)}
