"""Pairs in, maps out."""

import numpy as np
import pytest
import torch

from src.contracts.errors import ConfigError
from src.eval.explanations.pairs import METHODS, explain_pairs
from tests.eval.explanations.planted import patches, strong_color_seer, tiny_cnn


@pytest.mark.parametrize("method", METHODS)
def test_each_side_is_explained_by_the_other(method: str) -> None:
    network = strong_color_seer().train()
    red, red_masks = patches(18, color=0, seed=0)
    other, other_masks = patches(18, color=0, seed=9)
    # The results hold blue as well, which the queries don't have.
    other[:, :4, :4] = (0, 0, 255)
    queries, results = explain_pairs(network, red, other, method=method)
    assert not network.training
    for maps, masks in ((queries, red_masks), (results, other_masks)):
        assert (maps.dtype, maps.shape) == (np.float32, masks.shape)
        assert all(mask[np.unravel_index(found.argmax(), found.shape)] for found, mask in zip(maps, masks, strict=True))
    with torch.no_grad():
        embedded = [network(torch.from_numpy(side)).numpy() for side in (red, other)]
    direct = METHODS[method](network, torch.from_numpy(other[17:]), torch.from_numpy(embedded[0][17:]))
    np.testing.assert_allclose(results[17:], direct, atol=1e-6)


def test_no_pairs_give_no_maps_and_an_unknown_method_is_named() -> None:
    nothing = np.empty((0, 32, 32, 3), np.uint8)
    assert [side.shape for side in explain_pairs(tiny_cnn(), nothing, nothing)] == [(0, 32, 32)] * 2
    with pytest.raises(ConfigError, match=r"`method=lime`: must be one of grad_cam, integrated_gradients"):
        explain_pairs(tiny_cnn(), nothing, nothing, method="lime")
