"""What is evaluated: something that embeds images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.contracts.preprocessing import PreprocessingSpec
from src.eval.embedded import Embed
from src.models.checkpoint import load_encoder, method_of
from src.models.encoder import Encoder
from src.models.inference import embedder

__all__ = ["Subject", "open_subject"]


@dataclass(frozen=True)
class Subject:
    """Something that embeds images.

    Attributes:
        name: for titles.
        spec: how its pixels are made, or None where it looks at image ids only.
        embed: uint8 pixels (or, without a spec, image ids) to vectors.
        trained_on: its data settings, or None.
        method: what runs that differ by their seed alone have in common; a baseline's is its name.
        seed: the one that it was trained with, or None where there is none.
        encoder: the network, which can be explained; None for what is none.
    """

    name: str
    spec: PreprocessingSpec | None
    embed: Embed
    trained_on: Mapping[str, Any] | None
    method: str
    seed: int | None
    encoder: Encoder | None = None


def open_subject(checkpoint: str) -> Subject:
    """The encoder of a checkpoint."""
    encoder, spec, card = load_encoder(Path(checkpoint))
    return Subject(str(card["name"]), spec, embedder(encoder), card["data"], method_of(card), card["seed"], encoder)
