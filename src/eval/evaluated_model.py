"""The model that an evaluation measures: a checkpoint's encoder or a baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.contracts.preprocessing import PreprocessingSpec
from src.eval.embedded import Embed
from src.models.checkpoint import load_encoder, method_of
from src.models.encoder import Encoder
from src.models.inference import embedder

__all__ = ["EvaluatedModel", "open_evaluated_model"]


@dataclass(frozen=True)
class EvaluatedModel:
    """A checkpoint's encoder or a baseline, ready to embed.

    Attributes:
        name: for titles.
        spec: its preprocessing, or None where it embeds image ids instead of pixels.
        embed: uint8 pixels (or, without a spec, image ids) to vectors.
        trained_on: the data settings that it was trained with; None for a baseline.
        method: the same for runs that differ in nothing but their seed; a baseline's is its name.
        seed: of its training or its draws; None where the result does not depend on one.
        encoder: the network, for explanations; None for baselines.
    """

    name: str
    spec: PreprocessingSpec | None
    embed: Embed
    trained_on: Mapping[str, Any] | None
    method: str
    seed: int | None
    encoder: Encoder | None = None


def open_evaluated_model(checkpoint: str) -> EvaluatedModel:
    """Open the encoder of a checkpoint; raises what `load_encoder` raises."""
    encoder, spec, card = load_encoder(Path(checkpoint))
    return EvaluatedModel(
        str(card["name"]), spec, embedder(encoder), card["data"], method_of(card), card["seed"], encoder
    )
