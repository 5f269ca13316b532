"""What every runtime of an encoder can do."""

from typing import Protocol

import numpy as np

from src.contracts.errors import LookalikeError

__all__ = ["EMBEDDING", "NORM", "PIXELS", "EncoderRuntime", "RuntimeAbsentError", "check_pixels"]

PIXELS, EMBEDDING, NORM = "pixels", "embedding", "norm"
"""The input and the outputs of an exported graph; graphs of before have no `norm`."""


class RuntimeAbsentError(LookalikeError):
    """A runtime that cannot be used here; the message says what it lacks."""


class EncoderRuntime(Protocol):
    """A loaded encoder. Safe to call from many threads.

    Attributes:
        size: side of the images that it takes, in pixels.
        description: what runs, on what and in which arithmetic, for logs and manifests.
        has_norms: whether the graph gives norms: those of bundles of before 2026-12 do not.
    """

    size: int
    description: str
    has_norms: bool

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """Embed a batch.

        Args:
            pixels: uint8 array of shape (images, size, size, 3), as `src.contracts.preprocessing` makes it.

        Returns:
            float32 array of shape (images, dim), L2-normalised.

        Raises:
            LookalikeError: pixels of another type or shape.
        """
        ...

    def embed_with_norms(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embed a batch; pixels and errors as `embed` has them.

        Returns:
            The embeddings as `embed` gives them, and their norms before L2: float32 array of shape (images,), NaN
            where the graph gives none.
        """
        ...


def check_pixels(pixels: np.ndarray, size: int) -> None:
    """Raise `LookalikeError` unless `pixels` is uint8 of shape (images, size, size, 3)."""
    expected = (size, size, 3)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected:
        raise LookalikeError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}; the encoder takes uint8 of (images, *{expected})"
        )
