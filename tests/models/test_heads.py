"""Heads: what the embedding is before training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from src.contracts.errors import ConfigError
from src.contracts.settings.encoder import HEADS
from src.models.encoder import Encoder, build_encoder
from src.models.heads import GeM, register_head
from src.training.start_penalty import StartPenalty
from tests.models.test_encoder import NARROW, SPEC, pixels


def made(head: str) -> Encoder:
    torch.manual_seed(0)
    arguments: dict = {"backbone": "resnet10t", "backbone_kwargs": NARROW, "hidden_dim": 6, "embedding_dim": 8}
    return build_encoder(spec=SPEC, head=head, **arguments).eval()


SIZES = {"mlp": 8, "linear": 8, "pca": 8, "residual": 16, "none": 16, "bn_neck": 8, "gem": 8}


@pytest.mark.parametrize("head", HEADS)
def test_each_head_has_its_width(head: str) -> None:
    dim = SIZES[head]
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


def test_a_neck_is_a_batch_norm_without_a_shift() -> None:
    encoder = made("bn_neck").train()
    features = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    embeddings = encoder.head(features).detach().numpy()
    weight = encoder.head[0].weight.detach().numpy()
    raw = features.numpy() @ weight.T
    np.testing.assert_allclose(embeddings, (raw - raw.mean(axis=0)) / np.sqrt(raw.var(axis=0) + 1e-5), atol=1e-5)
    trained = {name for name, parameter in encoder.head.named_parameters() if parameter.requires_grad}
    assert trained == {"0.weight", "1.weight"}


@pytest.mark.parametrize("p", [1.0, 3.0, 6.5])
def test_generalised_means_are_those_of_numpy(p: float) -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 5, 3, 4)).astype(np.float32)
    expected = (np.maximum(maps, 1e-6) ** p).mean(axis=(2, 3)) ** (1 / p)
    with torch.no_grad():
        np.testing.assert_allclose(GeM(p, 0)(torch.from_numpy(maps)).numpy(), expected, rtol=1e-4)
        # As a transformer gives them: a class token first, then the places.
        tokens = np.concatenate([rng.normal(size=(2, 1, 5)), maps.reshape(2, 5, 12).transpose(0, 2, 1)], axis=1)
        found = GeM(p, 1)(torch.from_numpy(tokens.astype(np.float32))).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "arguments"),
    [("resnet10t", NARROW), ("vit_tiny_patch16_224", {"depth": 1, "embed_dim": 12, "num_heads": 1})],
)
def test_pooling_heads_get_what_the_backbone_pools(backbone: str, arguments: dict) -> None:
    torch.manual_seed(0)
    # Several places, of which there is one at 32 pixels.
    spec = replace(SPEC, size=96)
    encoder = build_encoder(
        spec=spec, backbone=backbone, backbone_kwargs=arguments, head={"_target_": "gem", "p": 1.0}, embedding_dim=4
    )
    batch = pixels(2, size=96)
    encoder(batch)[:, 0].sum().backward()
    assert encoder.head.pool.p.grad.abs() > 0
    assert (encoder.dim, encoder.eval()(batch).shape) == (4, (2, 4))
    # The penalty for changed distances compares with the features, which are vectors.
    terms = StartPenalty(encoder, l2_sp=0, relations=1.0)(batch, encoder(batch))
    assert terms["relations"].isfinite()


def test_layouts_that_pooling_does_not_know_are_refused() -> None:
    sizes = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 1], "window_size": 2, "patch_size": 4, "img_size": 32}
    with pytest.raises(ConfigError, match=r"GeMHead takes maps of layout NCHW, and SwinTransformer gives .*NHWC"):
        build_encoder(spec=SPEC, backbone="swin_tiny_patch4_window7_224", backbone_kwargs=sizes, head="gem")
