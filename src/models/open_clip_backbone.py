"""Image towers of open_clip as backbones: `model.backbone=open_clip:NAME`, or `open_clip:NAME/TAG` with weights."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from src.contracts.errors import ConfigError

__all__ = ["OPEN_CLIP", "build_open_clip", "open_clip_preprocessing"]

OPEN_CLIP = "open_clip:"


def build_open_clip(
    name: str, *, size: int, pretrained: bool, weights: str | None, arguments: Mapping[str, Any]
) -> nn.Module:
    """Build the image tower of a CLIP; its features are those that CLIP compares with texts.

    Args:
        name: open_clip's name, or NAME/TAG.
        size: side of the pictures, in pixels.
        pretrained: take open_clip's weights of that tag (needs a network or a filled cache).
        weights: take the weights of this file instead: a state dict of the whole CLIP.
        arguments: further arguments of `open_clip.create_model`.

    Raises:
        ConfigError: open_clip is not installed, or has no such network or tag.
    """
    library = _library()
    network, tag = _parts(library, name)
    if pretrained and not weights and not tag:
        tags = ", ".join(library.list_pretrained_tags_by_model(network))
        raise ConfigError(
            f"`model.backbone={OPEN_CLIP}{name}` with `model.pretrained=true`: name the weights, "
            f"{OPEN_CLIP}{name}/TAG, TAG one of {tags or 'none'}; or set `model.pretrained=false`, or "
            "`model.weights=FILE`"
        )
    source = weights or (tag if pretrained else None)
    clip = library.create_model(
        network, pretrained=source, load_weights=source is not None, force_image_size=size, **arguments
    )
    tower: nn.Module = clip.visual
    return tower


def open_clip_preprocessing(name: str) -> dict[str, Any]:
    """How the pixels of a network's weights are made, as fields of `PreprocessingSpec`."""
    library = _library()
    network, tag = _parts(library, name)
    used = library.get_pretrained_cfg(network, tag) if tag else {}
    resize = {"shortest": "crop", "squash": "squash", "longest": "pad"}[used.get("resize_mode") or "shortest"]
    size = library.get_model_config(network)["vision_cfg"]["image_size"]
    return {
        "size": size[0] if isinstance(size, list | tuple) else size,
        "resize": resize,
        "interpolation": used.get("interpolation") or "bicubic",
        "mean": list(used.get("mean") or library.OPENAI_DATASET_MEAN),
        "std": list(used.get("std") or library.OPENAI_DATASET_STD),
    }


def _parts(library: Any, name: str) -> tuple[str, str]:
    network, _, tag = name.partition("/")
    known = library.list_models()
    if network not in known:
        raise ConfigError(f"`model.backbone={OPEN_CLIP}{name}`: must be one of {', '.join(known)}")
    tags = library.list_pretrained_tags_by_model(network)
    if tag and tag not in tags:
        raise ConfigError(f"`model.backbone={OPEN_CLIP}{name}`: its weights are one of {', '.join(tags) or 'none'}")
    return network, tag


def _library() -> Any:
    try:
        import open_clip  # type: ignore[import-not-found,unused-ignore]  # optional
    except ImportError as error:
        raise ConfigError(
            f"`model.backbone={OPEN_CLIP}...`: open_clip cannot be imported ({error}); install it with "
            "`pip install open_clip_torch`, or choose a CLIP of timm (`vit_base_patch16_clip_224`)"
        ) from error
    return open_clip
