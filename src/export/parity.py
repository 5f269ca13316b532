"""Does the exported encoder give what torch gives? Figures and gates."""

from dataclasses import asdict, dataclass

import numpy as np

from src.contracts.errors import GateError
from src.contracts.settings import GateSettings
from src.export.runtime import EncoderRuntime

__all__ = ["Parity", "centred_cosine", "check_parity", "measure_parity"]

_NORM_TOLERANCE = 1e-3

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
        centred_cosine: smallest cosine of two embeddings after torch's mean embedding is taken off both. The plain
            cosine hides damage where embeddings cluster.
        batch_max_abs: largest difference between an image embedded alone and in a batch.
        batch_distance: largest 1 - cosine between an image embedded alone and in a batch.
        norm_error: largest distance of a norm from 1.
    """

    images: int
    max_abs: float
    cosine_distance: float
    centred_cosine: float
    batch_max_abs: float
    batch_distance: float
    norm_error: float

    def to_dict(self) -> dict[str, float | int]:
        """For the manifest."""
        return asdict(self)


def measure_parity(pixels: np.ndarray, expected: np.ndarray, runtime: EncoderRuntime) -> Parity:
    """Compare a runtime's embeddings with torch's.

    Args:
        pixels: uint8 array of shape (images, size, size, 3), real images.
        expected: torch's embeddings, float32 of shape (images, dim).
        runtime: the exported encoder.
    """
    together = runtime.embed(pixels)
    alone = np.concatenate([runtime.embed(image[None]) for image in pixels])
    return Parity(
        images=len(pixels),
        max_abs=float(np.abs(together - expected).max()),
        cosine_distance=float(1 - _cosine(together, expected).min()),
        centred_cosine=centred_cosine(together, expected),
        batch_max_abs=float(np.abs(together - alone).max()),
        batch_distance=float(1 - _cosine(together, alone).min()),
        norm_error=float(np.abs(np.linalg.norm(together, axis=1) - 1).max()),
    )


def check_parity(parity: Parity, *, precision: str, gates: GateSettings) -> None:
    """Hold figures against the limits of a precision.

    Args:
        parity: what was measured.
        precision: of the graph: `fp32`, `fp16` or `int8`.
        gates: the limits.

    Raises:
        GateError: each figure that misses its limit, by how much, and what helps.
    """
    lowest = {"fp32": gates.fp32_centred_cosine, "fp16": gates.fp16_centred_cosine, "int8": gates.int8_centred_cosine}
    most = {"norm_error": _NORM_TOLERANCE, "batch_distance": gates.batch_distance}
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
        raise GateError(
            f"the exported {precision} encoder differs from torch on {parity.images} images: {what}; {_FIX[precision]}"
        )


def centred_cosine(vectors: np.ndarray, expected: np.ndarray) -> float:
    """Smallest cosine of two rows after the mean of `expected` is taken off both; float arrays of (images, dim)."""
    mean = expected.mean(axis=0)
    return float(_cosine(vectors - mean, expected - mean).min())


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # Two embeddings that both are the mean are equal: a single image, or a collapsed encoder.
    return np.where(norms > 0, (a * b).sum(axis=1) / np.where(norms > 0, norms, 1), 1.0)
