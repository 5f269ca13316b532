"""Fixed probes: the bundle's golden images, embedded again, tell whether the encoder has changed."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from src.contracts.bundle import GOLDEN, Bundle
from src.contracts.errors import BundleError
from src.export.runtime import EncoderRuntime
from src.export.runtime.golden import read_golden

__all__ = ["Canary", "check_canary"]

_LEAST = {"fp32": 0.999, "fp16": 0.999, "int8": 0.99}
_BF16 = 0.99
_NORMS = {"fp32": 0.01, "fp16": 0.02, "int8": 0.1}
"""Largest relative difference of a norm between two machines."""


@dataclass(frozen=True)
class Canary:
    """What the probes gave.

    Attributes:
        problem: why the encoder, or the way to its pixels, is not the exported one; empty where it is.
        cosine: smallest centred cosine to the exporting machine's embeddings; NaN where it could not be measured.
        norm_error: largest relative difference of a norm; NaN for graphs without norms.
    """

    problem: str
    cosine: float
    norm_error: float

    @property
    def order(self) -> tuple[bool, float]:
        """Sorts the worst first."""
        return not self.problem, self.cosine

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_canary(bundle: Bundle, encoder: EncoderRuntime) -> Canary | None:
    """Decode and embed the golden images, and compare with what the exporting machine made of them.

    The images, the code that decodes them and the encoder are all that it depends on: where it passes, what has changed
    are the queries.

    Returns:
        None for a bundle without golden images.
    """
    if GOLDEN not in bundle.content["files"]:
        return None
    golden = read_golden(bundle.path(GOLDEN))
    precision = bundle.content.get("precision", "fp32")
    least = _BF16 if encoder.description.endswith("bf16") else _LEAST[precision]
    most = _NORMS["int8"] if encoder.description.endswith("bf16") else _NORMS[precision]
    try:
        embeddings, norms = encoder.embed_with_norms(golden.pixels(bundle.preprocessing))
    except BundleError as error:
        return Canary(str(error), float("nan"), float("nan"))
    except Exception as error:  # Each runtime's library raises its own.
        return Canary(f"{encoder.description} fails on the golden images ({error})", float("nan"), float("nan"))
    cosine = golden.centred_cosine(embeddings)
    off = float(np.max(np.abs(norms - golden.norms) / np.maximum(golden.norms, 1e-6)))
    problems = []
    if not cosine >= least:
        problems.append(f"the golden images' centred cosine is {cosine:.5f}, the limit is {least}")
    if off > most:  # NaN, of graphs without norms, is none.
        problems.append(f"a golden image's norm differs by {off:.1%}, the limit is {most:.0%}")
    return Canary("; ".join(problems), cosine, off)
