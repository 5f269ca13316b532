"""Embed large batches in little memory: only one chunk's activations are held at a time."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

__all__ = ["embed_in_chunks"]


def embed_in_chunks(
    encoder: nn.Module, pixels: Num[Tensor, "batch height width 3"], *, chunk: int
) -> Float[Tensor, "batch dim"]:
    """Embed a batch with the gradient of the whole, but the activations of `chunk` images at a time.

    As GradCache (Gao, Zhang, Han, Callan: Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
    RepL4NLP 2021): embeddings first, then each chunk again with its gradients. The gradient is exact for encoders whose
    images do not depend on one another; batch norm in training mode normalises by chunk. The cost is one more
    forward pass.

    Args:
        encoder: the encoder.
        pixels: its input.
        chunk: images in a chunk; 0 takes all at once, without the second pass.

    Returns:
        Embeddings, whose graph holds the pixels.
    """
    if not 0 < chunk < len(pixels):
        embeddings: Tensor = encoder(pixels)
        return embeddings

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _without_statistics(encoder)

    # The second pass draws the same random numbers (dropout, drop path). Autograd processes the latest operations
    # first, hence one chunk after the other.
    parts = [checkpoint(encoder, part, use_reentrant=False, context_fn=contexts) for part in torch.split(pixels, chunk)]
    return torch.cat(parts)


@contextmanager
def _without_statistics(encoder: nn.Module) -> Iterator[None]:
    """Keep batch norms from updating their statistics in the second pass."""
    # Momentum and not `track_running_stats`: both passes must save the same tensors for the backward pass.
    norms = [
        m for m in encoder.modules() if isinstance(m, _NormBase) and m.training and m.num_batches_tracked is not None
    ]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = norm.num_batches_tracked.clone()  # type: ignore[union-attr]
    try:
        yield
    finally:
        for norm, momentum, counted in before:
            norm.momentum, norm.num_batches_tracked = momentum, counted
