"""Heads: what the embedding is before training."""

import pytest
import torch

from src.contracts.settings.encoder import HEADS
from src.models.encoder import Encoder, build_encoder
from tests.models.test_encoder import NARROW, SPEC, pixels


def made(head: str) -> Encoder:
    torch.manual_seed(0)
    arguments: dict = {"backbone": "resnet10t", "backbone_kwargs": NARROW, "hidden_dim": 6, "embedding_dim": 8}
    return build_encoder(spec=SPEC, head=head, **arguments).eval()


@pytest.mark.parametrize(("head", "dim"), [("mlp", 8), ("linear", 8), ("pca", 8), ("residual", 16), ("none", 16)])
def test_each_head_has_its_width(head: str, dim: int) -> None:
    assert head in HEADS
    encoder = made(head)
    assert encoder.dim == dim
    assert encoder(pixels(2)).shape == (2, dim)


def test_a_residual_head_begins_as_the_features_themselves_and_learns() -> None:
    encoder, batch = made("residual"), pixels(3)
    encoder.backbone.load_state_dict(made("none").backbone.state_dict())
    torch.testing.assert_close(encoder(batch), made("none")(batch), atol=0, rtol=0)
    optimizer = torch.optim.SGD(encoder.head.parameters(), lr=0.5)
    for _ in range(2):
        encoder(batch)[:, 0].sum().backward()
        optimizer.step()
    # The first layer has no gradient before the second has moved.
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.head.parameters())
    assert not torch.allclose(encoder(batch), made("none")(batch), atol=1e-3)


def test_a_linear_head_is_one_matrix() -> None:
    encoder = made("linear")
    shapes = {name: tuple(value.shape) for name, value in encoder.head.state_dict().items()}
    assert shapes == {"weight": (8, 16), "bias": (8,)}
