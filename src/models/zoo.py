"""Published encoders: a folder of weights, preprocessing, card and metrics that others can open, timm among them.

- model.safetensors: the backbone, by timm's names
- config.json: timm's hub format, for backbones of timm: `timm.create_model("local-dir:DIR", pretrained=True)`
- head.safetensors: the head
- lookalike.json: the card, from which the encoder is built
- preprocessing.json, metrics.json (of the validation split), README.md: for readers
"""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from src.contracts.errors import LookalikeError

__all__ = ["CARD_FILE", "CONFIG", "HEAD", "WEIGHTS", "read_zoo_card", "read_zoo_state"]

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
HEAD = "head.safetensors"
CARD_FILE = "lookalike.json"


def read_zoo_card(folder: Path) -> dict[str, Any] | None:
    """Read the card of a published encoder; None for other folders."""
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def read_zoo_state(folder: Path, *, setting: str) -> dict[str, Tensor]:
    """Read the weights of a published encoder, by the encoder's names.

    Raises:
        LookalikeError: a file is missing or damaged.
    """
    state: dict[str, Tensor] = {}
    for file, part in ((WEIGHTS, "backbone"), (HEAD, "head")):
        try:
            found = safetensors.torch.load_file(folder / file)
        except Exception as error:  # the reader raises its own error for damaged files
            raise LookalikeError(f"`{setting}={folder}`: {file} cannot be read ({error})") from error
        state |= {f"{part}.{name}": value for name, value in found.items()}
    return state
