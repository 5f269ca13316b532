"""What is evaluated: a checkpoint's encoder, or the colour histogram."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.contracts.preprocessing import PreprocessingSpec
from src.eval.embedded import Embed
from src.models.checkpoint import load_encoder, method_of
from src.models.color_histogram import color_histogram
from src.models.inference import embedder

__all__ = ["Subject", "open_subject"]

_HISTOGRAM_SIZE = 128


@dataclass(frozen=True)
class Subject:
    """Something that embeds images.

    Attributes:
        name: for titles.
        spec: how its pixels are made.
        embed: uint8 pixels to vectors.
        trained_on: its data settings, or None.
        method: what runs that differ by their seed alone have in common; a baseline's is its name.
        seed: the one that it was trained with, or None where there is none.
    """

    name: str
    spec: PreprocessingSpec
    embed: Embed
    trained_on: Mapping[str, Any] | None
    method: str
    seed: int | None


def open_subject(checkpoint: str | None) -> Subject:
    """The encoder of a checkpoint; without one, the colour histogram of the image scaled to 128 x 128."""
    if checkpoint is None:
        spec = PreprocessingSpec(size=_HISTOGRAM_SIZE, resize="squash")
        return Subject("color histogram", spec, color_histogram, None, "color_histogram", None)
    encoder, spec, card = load_encoder(Path(checkpoint))
    return Subject(str(card["name"]), spec, embedder(encoder), card["data"], method_of(card), card["seed"])
