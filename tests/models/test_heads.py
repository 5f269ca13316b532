"""Heads: what the embedding is before training."""

import pytest
import torch
from torch import nn

from src.contracts.errors import ConfigError
from src.contracts.settings.encoder import HEADS
from src.models.encoder import Encoder, build_encoder
from src.models.heads import register_head
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


def test_a_head_of_ones_own_is_built_by_its_name() -> None:
    @register_head
    class Halved(nn.Module):
        def __init__(self, *, width: int, hidden_dim: int, embedding_dim: int) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(width)
            self.matrix = nn.Linear(width, embedding_dim // 2)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.matrix(self.norm(features))

    encoder = made("Halved")
    assert (encoder.dim, encoder(pixels(3)).shape) == (4, (3, 4))
    assert encoder.head.train().norm.num_batches_tracked == 0


def test_a_head_that_nobody_registered_is_named() -> None:
    with pytest.raises(ConfigError, match=r"`model\.head=Doubled`: must be one of mlp, .*`trust=\[PACKAGE\]`"):
        made("Doubled")


def test_names_of_ours_are_not_taken() -> None:
    with pytest.raises(ValueError, match="pca is a head of Lookalike"):
        register_head(type("pca", (nn.Module,), {}))
