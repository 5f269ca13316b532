"""An encoder as a function over NumPy arrays."""

from collections.abc import Callable

import numpy as np
import torch

from src.models.allocator import keep_freed_memory
from src.models.encoder import Encoder

__all__ = ["embedder", "embedder_with_norms"]


def embedder(encoder: Encoder) -> Callable[[np.ndarray], np.ndarray]:
    """A function from uint8 pixels (images, size, size, 3) to float32 embeddings (images, dim), on the GPU if any."""
    both = embedder_with_norms(encoder)
    return lambda pixels: both(pixels)[0]


def embedder_with_norms(encoder: Encoder) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """As `embedder`; with the norms before L2, float32 of shape (images,)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder.to(device).eval()
    keep_freed_memory()

    def embed(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            vectors, norms = encoder.with_norms(torch.from_numpy(pixels).to(device))
        return vectors.cpu().numpy(), norms.cpu().numpy()

    return embed
