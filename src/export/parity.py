"""Does the exported encoder give what torch gives? Figures and gates."""

from dataclasses import asdict, dataclass

import numpy as np

from src.contracts.errors import GateError
from src.contracts.settings import GateSettings
from src.export.runtime import EncoderRuntime
from src.export.runtime.cosines import centred_cosine, cosines

__all__ = ["Parity", "check_parity", "measure_parity"]

_NORM_TOLERANCE = 1e-3
_SCALE_TOLERANCE = {"fp32": 1e-4, "fp16": 0.01, "int8": 0.25}
"""Largest relative difference of a norm before L2. Monitoring compares a graph's norms with those of the same graph, so
that they need not be torch's to the last digit, but of its scale."""

_FIX = {
    "fp32": "the backbone does something that ONNX cannot say; take another one",
    "fp16": "set `precision=fp32`",
    "int8": "set `precision=fp16`, or raise `calibration_images`",
}


@dataclass(frozen=True)
class Parity:
    """How far an exported encoder is from torch's.

    Attributes:
        images: images that were compared.
        max_abs: largest difference of a number.
        cosine_distance: largest 1 - cosine of two embeddings.
        centred_cosine: smallest cosine of two embeddings after torch's mean embedding is taken off both.
        batch_max_abs: largest difference between an image embedded alone and in a batch.
        batch_distance: largest 1 - cosine between an image embedded alone and in a batch.
        norm_error: largest distance of a norm from 1.
        scale_error: largest relative difference of a norm before L2 from torch's.
    """

    images: int
    max_abs: float
    cosine_distance: float
    centred_cosine: float
    batch_max_abs: float
    batch_distance: float
    norm_error: float
    scale_error: float

    def to_dict(self) -> dict[str, float | int]:
        """For the manifest."""
        return asdict(self)


def measure_parity(pixels: np.ndarray, expected: np.ndarray, runtime: EncoderRuntime, *, norms: np.ndarray) -> Parity:
    """Compare a runtime's embeddings with torch's.

    Args:
        pixels: uint8 array of shape (images, size, size, 3), real images.
        expected: torch's embeddings, float32 of shape (images, dim).
        runtime: the exported encoder.
        norms: torch's norms before L2, float32 of shape (images,).
    """
    together, found = runtime.embed_with_norms(pixels)
    alone = np.concatenate([runtime.embed(image[None]) for image in pixels])
    return Parity(
        images=len(pixels),
        max_abs=float(np.abs(together - expected).max()),
        cosine_distance=float(1 - cosines(together, expected).min()),
        centred_cosine=centred_cosine(together, expected),
        batch_max_abs=float(np.abs(together - alone).max()),
        batch_distance=float(1 - cosines(together, alone).min()),
        norm_error=float(np.abs(np.linalg.norm(together, axis=1) - 1).max()),
        # A vanishing embedding has the norm 0 in both.
        scale_error=float((np.abs(found - norms) / np.maximum(norms, 1e-6)).max()),
    )


def check_parity(parity: Parity, *, precision: str, gates: GateSettings, engine: str = "") -> None:
    """Hold figures against the limits of a precision.

    Args:
        parity: what was measured.
        precision: whose limits hold: `fp32`, `fp16` or `int8`.
        gates: the limits.
        engine: the name of the engine that was measured; empty for the graph.

    Raises:
        GateError: each figure that misses its limit, by how much, and what helps.
    """
    lowest = {"fp32": gates.fp32_centred_cosine, "fp16": gates.fp16_centred_cosine, "int8": gates.int8_centred_cosine}
    most = {
        "norm_error": _NORM_TOLERANCE,
        "scale_error": _SCALE_TOLERANCE[precision],
        "batch_distance": gates.batch_distance,
    }
    if precision == "fp32":
        most |= {"max_abs": gates.fp32_max_abs, "batch_max_abs": gates.fp32_max_abs}
    elif precision == "fp16":
        most["cosine_distance"] = gates.fp16_cosine_distance
    figures = asdict(parity)
    # Written so that NaN misses every limit.
    missed = [(name, limit) for name, limit in most.items() if not figures[name] <= limit]
    if not parity.centred_cosine >= lowest[precision]:
        missed.append(("centred_cosine", lowest[precision]))
    if missed:
        what = "; ".join(
            f"{name} is {figures[name]:.3g}, the limit is {limit:.6g} (off by {abs(figures[name] - limit):.3g})"
            for name, limit in missed
        )
        who = f"the engine {engine}" if engine else f"the exported {precision} encoder"
        fix = "leave it out of `engines`" if engine else _FIX[precision]
        raise GateError(f"{who} differs from torch on {parity.images} images: {what}; {fix}")
