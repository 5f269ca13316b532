"""Does the exported encoder give what torch gives? Figures and gates."""

from dataclasses import asdict, dataclass

import numpy as np

from src.contracts.errors import GateError
from src.export.runtime import EncoderRuntime

__all__ = ["Parity", "check_parity", "measure_parity"]

_NORM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Parity:
    """How far an exported encoder is from torch's.

    Attributes:
        images: images that were compared.
        max_abs: largest difference of a number.
        centred_cosine: smallest cosine of two embeddings after torch's mean embedding is taken off both. The plain
            cosine hides damage where embeddings cluster.
        batch_max_abs: largest difference between an image embedded alone and in a batch.
        norm_error: largest distance of a norm from 1.
    """

    images: int
    max_abs: float
    centred_cosine: float
    batch_max_abs: float
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
    mean = expected.mean(axis=0)
    return Parity(
        images=len(pixels),
        max_abs=float(np.abs(together - expected).max()),
        centred_cosine=float(_cosine(together - mean, expected - mean).min()),
        batch_max_abs=float(np.abs(together - alone).max()),
        norm_error=float(np.abs(np.linalg.norm(together, axis=1) - 1).max()),
    )


def check_parity(parity: Parity, *, max_abs: float, min_centred_cosine: float) -> None:
    """Raise `GateError` with each figure that misses its limit, and by how much."""
    # Written so that NaN misses every limit.
    limits = [
        ("max_abs", parity.max_abs, max_abs, parity.max_abs <= max_abs),
        ("batch_max_abs", parity.batch_max_abs, max_abs, parity.batch_max_abs <= max_abs),
        ("norm_error", parity.norm_error, _NORM_TOLERANCE, parity.norm_error <= _NORM_TOLERANCE),
        ("centred_cosine", parity.centred_cosine, min_centred_cosine, parity.centred_cosine >= min_centred_cosine),
    ]
    missed = [
        f"{name} is {value:.3g}, the limit is {limit:.6g} (off by {abs(value - limit):.3g})"
        for name, value, limit, passed in limits
        if not passed
    ]
    if missed:
        raise GateError(f"the exported encoder differs from torch on {parity.images} images: {'; '.join(missed)}")


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # Two embeddings that both are the mean are equal: a single image, or a collapsed encoder.
    return np.where(norms > 0, (a * b).sum(axis=1) / np.where(norms > 0, norms, 1), 1.0)
