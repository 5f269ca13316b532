"""A head that begins as the principal directions, against NumPy's singular values."""

import numpy as np
import pytest
import torch

from src.contracts.errors import ConfigError, LookalikeError
from src.models.pca_initialisation import initialise_pca_head, principal_directions
from tests.models.test_encoder import pixels, small


def test_directions_are_the_singular_vectors() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 6)) * np.array([5, 4, 3, 2, 1, 0.5]) + 7
    directions, mean = principal_directions(torch.tensor(features), 4)
    _, _, expected = np.linalg.svd(features - features.mean(axis=0))
    np.testing.assert_allclose(np.abs((directions.numpy() * expected[:4]).sum(axis=1)), 1, atol=1e-6)
    np.testing.assert_allclose(mean.numpy(), features.mean(axis=0), rtol=1e-6)
    assert (directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("count", [2, 3])
def test_fewer_images_than_directions_give_a_whole_basis(count: int) -> None:
    directions, _ = principal_directions(torch.randn(count, 8, generator=torch.Generator().manual_seed(0)), 8)
    torch.testing.assert_close(directions @ directions.T, torch.eye(8), atol=1e-5, rtol=0)
    constant, _ = principal_directions(torch.ones(5, 4), 2)
    torch.testing.assert_close(constant @ constant.T, torch.eye(2), atol=1e-5, rtol=0)


def test_the_embedding_begins_as_the_centred_features() -> None:
    # As many directions as features only turn them.
    encoder, plain, batch = small(head="pca", embedding_dim=16), small(head="none"), pixels(12)
    plain.backbone.load_state_dict(encoder.backbone.state_dict())
    encoder.train()
    initialise_pca_head(encoder, batch.numpy, batch=5)
    assert encoder.training
    assert encoder.backbone.training
    with torch.no_grad():
        features = plain.eval().features(batch)
        centred = torch.nn.functional.normalize(features - features.mean(dim=0))
        found = encoder.eval()(batch)
    torch.testing.assert_close(found @ found.T, centred @ centred.T, atol=1e-4, rtol=0)
    # What is there is left: it may come from an earlier run.
    before = encoder.head.weight.clone()
    initialise_pca_head(encoder, pixels(12, seed=5).numpy, batch=5)
    assert torch.equal(encoder.head.weight, before)


def test_other_heads_are_left_and_their_images_not_read() -> None:
    encoder = small(head="linear")
    before = encoder.head.weight.clone()
    initialise_pca_head(encoder, lambda: pytest.fail("no images are needed"), batch=5)
    assert torch.equal(encoder.head.weight, before)


def test_what_cannot_begin_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`model\.embedding_dim=17`: the backbone gives 16 features, so at most 16"):
        small(head="pca", embedding_dim=17)
    with pytest.raises(LookalikeError, match="needs at least 2 training images, there are 1"):
        initialise_pca_head(small(head="pca"), pixels(1).numpy, batch=4)
    broken = small(head="pca")
    with torch.no_grad():
        next(broken.backbone.parameters()).fill_(float("nan"))
    with pytest.raises(LookalikeError, match=r"not finite; check `model\.weights`"):
        initialise_pca_head(broken, pixels(3).numpy, batch=4)
