"""The encoder, its checkpoint, and the classical baselines."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from src.models.encoder import Encoder, build_encoder
    from src.models.heads import register_head
    from src.models.image_encoder import ImageEncoder, load_encoder

__all__ = ["Encoder", "ImageEncoder", "build_encoder", "load_encoder", "register_head"]

_MODULES = {
    "Encoder": "encoder",
    "ImageEncoder": "image_encoder",
    "build_encoder": "encoder",
    "load_encoder": "image_encoder",
    "register_head": "heads",
}


def __getattr__(name: str) -> Any:
    # The baselines need neither torch nor timm, which take seconds to import.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
