"""Embedding in chunks: the same gradient in less memory."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from src.contracts.preprocessing import PreprocessingSpec
from src.models.encoder import Encoder, build_encoder
from src.training.chunked_embedding import embed_in_chunks

SPEC = PreprocessingSpec(size=32, resize="squash")
PIXELS = torch.randint(0, 256, (12, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def vit(**arguments: float) -> Encoder:
    torch.manual_seed(0)
    small = {"patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, **arguments}
    return build_encoder(spec=SPEC, backbone="vit_tiny_patch16_224", backbone_kwargs=small, embedding_dim=8)


def loss_of(embeddings: Tensor) -> Tensor:
    """One in which every image has to do with every other."""
    return torch.logsumexp(5 * embeddings @ embeddings.T, dim=1).sum()


def gradients(encoder: Encoder, chunk: int) -> dict[str, Tensor]:
    torch.manual_seed(1)
    encoder.zero_grad()
    loss_of(embed_in_chunks(encoder, PIXELS, chunk=chunk)).backward()
    return {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}


@pytest.mark.parametrize("chunk", [1, 4, 5, 11])
def test_the_gradient_is_that_of_the_whole_batch(chunk: int) -> None:
    encoder = vit().double()
    whole = gradients(encoder, 0)
    for name, gradient in gradients(encoder, chunk).items():
        torch.testing.assert_close(gradient, whole[name], atol=1e-6, rtol=1e-6, msg=name)
    assert max(float(gradient.abs().max()) for gradient in whole.values()) > 0.1


def test_dropout_drops_the_same_units_both_times() -> None:
    """Else the gradient would be that of other embeddings than those of the loss."""
    encoder = vit(proj_drop_rate=0.3, drop_path_rate=0.3)
    in_chunks = gradients(encoder, 4)
    torch.manual_seed(1)
    encoder.zero_grad()
    loss_of(torch.cat([encoder(part) for part in PIXELS.split(4)])).backward()
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(in_chunks[name], parameter.grad, atol=1e-6, rtol=1e-5, msg=name)


def test_batch_norms_count_each_image_once() -> None:
    torch.manual_seed(0)
    kwargs = {"channels": [8, 8, 16, 16]}
    once, chunked = (build_encoder(spec=SPEC, backbone="resnet10t", backbone_kwargs=kwargs) for _ in range(2))
    chunked.load_state_dict(once.state_dict())
    loss_of(torch.cat([once(part) for part in PIXELS.split(4)])).backward()
    loss_of(embed_in_chunks(chunked, PIXELS, chunk=4)).backward()
    for name, value in once.state_dict().items():
        torch.testing.assert_close(chunked.state_dict()[name], value, msg=name)
    tracked = [value for name, value in chunked.state_dict().items() if name.endswith("num_batches_tracked")]
    assert tracked
    assert all(value == 3 for value in tracked)
    assert all(module.momentum == 0.1 for module in chunked.modules() if isinstance(module, nn.BatchNorm2d))
    for (name, one), other in zip(once.named_parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, atol=1e-5, rtol=1e-4, msg=name)


def peak_of(run: Callable[[], None]) -> int:
    """Most bytes of the CPU that tensors hold at once, as the allocator reports them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    held = peak = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def test_memory_is_that_of_a_chunk() -> None:
    encoder = vit(embed_dim=48)
    pixels = PIXELS.repeat(4, 1, 1, 1)

    def step(chunk: int) -> Callable[[], None]:
        encoder.zero_grad(set_to_none=True)
        return lambda: loss_of(embed_in_chunks(encoder, pixels, chunk=chunk)).backward()

    step(0)()
    whole, eight, four = (peak_of(step(chunk)) for chunk in (0, 8, 4))
    assert whole > 3 * eight > 3 * four
