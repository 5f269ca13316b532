"""The time that a trained encoder takes for an image."""

import time
from pathlib import Path

import numpy as np

__all__ = ["milliseconds"]

_CALLS, _LEAST = 200, 10
_SECONDS = 1.0


def milliseconds(checkpoint: Path) -> float:
    """Milliseconds an image of the quickest of up to 200 calls, one image each, with torch, on the GPU if there is one.

    Other work on the machine only lengthens calls, so that the quickest is the least disturbed. A serving runtime is
    quicker (`benchmarks.encoders`), but orders networks alike for the most part.

    Args:
        checkpoint: of train.py.

    Raises:
        LookalikeError: there is none, or it is not readable.
    """
    # Only sweeps that measure need torch in their own process.
    from src.models.checkpoint import load_encoder
    from src.models.inference import embedder

    encoder, spec, _ = load_encoder(checkpoint)
    embed = embedder(encoder)
    pixels = np.random.default_rng(0).integers(0, 256, (1, spec.size, spec.size, 3), dtype=np.uint8)
    best, begin = float("inf"), time.perf_counter()
    for call in range(_CALLS):
        start = time.perf_counter()
        embed(pixels)
        best = min(best, time.perf_counter() - start)
        if call >= _LEAST and time.perf_counter() - begin > _SECONDS:
            break
    return 1000 * best
