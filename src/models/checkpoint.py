"""The card of a checkpoint, and loading the encoder of a checkpoint.

A checkpoint is Lightning's, with one more entry, the card, which holds numbers, strings, lists and dictionaries only.
It is read with `weights_only=True`, so that a checkpoint from an unknown source runs no code.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import TrainSettings
from src.contracts.trust import check_trusted
from src.models.encoder import Encoder, build_encoder
from src.models.heads import portable_head
from src.models.lora import merge_lora
from src.models.sources import HUB, resolved_source
from src.models.zoo import read_zoo_card, read_zoo_state

__all__ = ["CARD", "deciding_settings", "load_encoder", "make_card", "method_of", "read_card"]

CARD = "lookalike"
_FORMAT = 1
_PREFIX = "encoder."
_WITHOUT_EFFECT = {"data": ("cache", "workers"), "trainer": ("accelerator", "eval_batch")}
_LEFT_OUT = ("checkpoint_every", "compile", "pause_at", "resume")
"""Trainer settings that do not influence the resulting weights."""


def make_card(settings: TrainSettings) -> dict[str, Any]:
    """Make the card: all that is needed to build the encoder again and to find its data."""
    model = resolved_source(asdict(settings.model))
    start = _start(model)
    model.update(pretrained=False, weights=None, head=portable_head(model["head"]))
    if model["lora"]["rank"] is None:
        # So that runs without adapters are of the same method as before there were any.
        del model["lora"]
    return {
        "format": _FORMAT,
        "name": settings.name,
        "seed": settings.seed,
        "model": model,
        "preprocessing": settings.preprocessing.to_dict(),
        "data": asdict(settings.data),
        "augmentation": _named(settings.augmentation),
        "sampler": _named(settings.sampler),
        "loss": _named(settings.loss),
        "miner": _named(settings.miner),
        "objective": asdict(settings.objective),
        "neighbours": asdict(settings.neighbours),
        "clicks": asdict(settings.clicks),
        "start": start,
        "optim": asdict(settings.optim),
        "optimizer": _named(settings.optimizer),
        "scheduler": _named(settings.scheduler),
        "callbacks": _named(settings.callbacks),
        # What is as it was before it could be chosen is left out, so that older runs are of the same method.
        **({} if settings.metric.is_default else {"metric": _named(asdict(settings.metric))}),
        "trainer": {
            name: value
            for name, value in asdict(settings.trainer).items()
            if name not in _LEFT_OUT and (name, value) != ("overfit", 0)
        },
    }


def method_of(card: Mapping[str, Any]) -> str:
    """Identify the method that trained a checkpoint: equal for runs that differ only in their seed (or machine).

    Args:
        card: the checkpoint's.

    Returns:
        16 hexadecimal digits, from the whole card except the run's name, its seed, and settings without influence.
    """
    if "method" in card:  # published, without the paths that it was computed from
        return str(card["method"])
    settings = {name: value for name, value in deciding_settings(card).items() if name != "seed"}
    start = settings.get("start", {})
    if "run" in start:
        settings["start"] = {**start, "run": start["run"]["method"]}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def deciding_settings(card: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a card that decide the trained weights: all but the run's name and the machine's settings."""
    settings = {name: value for name, value in card.items() if name not in ("format", "name")}
    for part, names in _WITHOUT_EFFECT.items():
        settings[part] = {name: value for name, value in settings.get(part, {}).items() if name not in names}
    return settings


def read_card(path: Path) -> dict[str, Any] | None:
    """Read the card of a checkpoint or of a published encoder; None for other weights."""
    if path.is_dir():
        return read_zoo_card(path)
    if path.suffix == ".safetensors" or not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # the reader raises many types of errors for other files
        return None
    card = content.get(CARD) if isinstance(content, dict) else None
    return card if isinstance(card, dict) and card.get("format") == _FORMAT else None


def _start(model: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the start of a run; an earlier run by its name and method, since each of them writes best.ckpt."""
    source = model["weights"]
    path = Path(source) if source and not source.startswith(HUB) else None
    start = {"pretrained": model["pretrained"], "weights": path.name if path else source}
    if path and (card := read_card(path)):
        start["run"] = {"name": card["name"], "seed": card["seed"], "method": method_of(card)}
    return start


def _named(component: dict[str, Any]) -> dict[str, Any]:
    """A component and its parts, with class names instead of import paths, which must not leave the repository."""
    arguments = {
        name: _named(value) if isinstance(value, dict) else value
        for name, value in component.items()
        if name not in ("_target_", "_partial_")
    }
    if "_target_" in component:
        arguments["name"] = component["_target_"].rsplit(".", 1)[-1]
    return arguments


def load_encoder(path: Path, *, setting: str = "checkpoint") -> tuple[Encoder, PreprocessingSpec, dict[str, Any]]:
    """Build the encoder of a checkpoint, in evaluation mode, on the CPU; adapters are merged into their layers.

    Args:
        path: a checkpoint of train.py, or the folder of a published encoder (`src/models/zoo.py`).
        setting: the setting that named the path, for messages.

    Returns:
        The encoder, its preprocessing, and the card.

    Raises:
        LookalikeError: there is no such file, it is not readable, it is not a checkpoint of train.py, or it names
            classes of a package that is not trusted.
    """
    card, weights = _read(path, setting)
    spec = PreprocessingSpec.from_dict(card["preprocessing"])
    for part in ("backbone", "head"):
        check_trusted(card["model"].get(part), where=f"`{setting}={path}`")
    encoder = build_encoder(spec=spec, **card["model"])
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise LookalikeError(f"`{setting}={path}`: its weights do not fit its card ({error})") from error
    merge_lora(encoder.backbone)
    return encoder.eval(), spec, card


def _read(path: Path, setting: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card, and the encoder's state."""
    if path.is_dir():
        card = _of_format(read_zoo_card(path), path, setting)
        return card, read_zoo_state(path, setting=setting)
    if not path.is_file():
        raise LookalikeError(f"`{setting}={path}`: no such file; train.py writes DIR/checkpoints/best.ckpt")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises many types of errors for damaged files
        raise LookalikeError(f"`{setting}={path}`: not a readable checkpoint ({error})") from error
    card = _of_format(checkpoint.get(CARD) if isinstance(checkpoint, dict) else None, path, setting)
    state = checkpoint["state_dict"]
    return card, {name[len(_PREFIX) :]: value for name, value in state.items() if name.startswith(_PREFIX)}


def _of_format(card: Any, path: Path, setting: str) -> dict[str, Any]:
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        raise LookalikeError(
            f"`{setting}={path}`: it has no card of format {_FORMAT}; train.py and src.export.publish write one"
        )
    return card
