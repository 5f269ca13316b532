"""An encoder as a function over NumPy arrays."""

from collections.abc import Callable

import numpy as np
import torch

from src.models.allocator import keep_freed_memory
from src.models.encoder import Encoder

__all__ = ["embedder"]


def embedder(encoder: Encoder) -> Callable[[np.ndarray], np.ndarray]:
    """A function from uint8 pixels (images, size, size, 3) to float32 embeddings (images, dim), on the GPU if any."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder.to(device).eval()
    keep_freed_memory()

    def embed(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            vectors: np.ndarray = encoder(torch.from_numpy(pixels).to(device)).cpu().numpy()
        return vectors

    return embed
