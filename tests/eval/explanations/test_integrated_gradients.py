"""Integrated gradients are complete: they sum to the difference of two cosines."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.eval.explanations.integrated_gradients import baseline, integrated_gradients
from tests.eval.explanations.planted import SIZE, patches, strong_color_seer, tiny_cnn, tiny_vit


@pytest.mark.parametrize("encoder", [tiny_cnn, tiny_vit])
def test_attributions_sum_to_the_difference_of_the_cosines(encoder) -> None:
    network = encoder()
    # More images than go through at once; neighbouring pixels alike, as in photos.
    coarse = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    images = torch.from_numpy(coarse.repeat(8, axis=1).repeat(8, axis=2))
    other = F.normalize(torch.randn(5, 8), dim=1)
    maps = integrated_gradients(network, images, other)
    assert maps.shape == (5, SIZE, SIZE)
    with torch.no_grad():
        difference = ((network(images) - network(baseline(images))) * other).sum(dim=1)
    assert difference.abs().max() > 0.01
    torch.testing.assert_close(maps.sum(dim=(1, 2)), difference, atol=0.01, rtol=0.02)


def test_the_baseline_is_the_mean_colour_and_gets_nothing() -> None:
    shown, _ = patches(2, color=1, seed=0)
    start = baseline(torch.from_numpy(shown))
    np.testing.assert_allclose(start[0, 3, 5], shown[0].mean(axis=(0, 1)), rtol=1e-5)
    network = tiny_cnn()
    other = F.normalize(torch.randn(2, 8), dim=1)
    assert float(integrated_gradients(network, start, other).abs().max()) < 1e-4


def test_a_network_that_sees_one_patch_points_there() -> None:
    network = strong_color_seer()
    shown, masks = patches(4, color=2, seed=3)
    with torch.no_grad():
        other = network(torch.from_numpy(shown))
    maps = integrated_gradients(network, torch.from_numpy(shown), other).numpy()
    positive = np.maximum(maps, 0)
    assert (positive.sum(axis=(1, 2)) > 0.1).all()
    assert (positive * masks).sum() > 0.95 * positive.sum()
