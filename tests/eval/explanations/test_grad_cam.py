"""Grad-CAM against autograd by hand, and where its map is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam

from src.eval.explanations.grad_cam import cell_map, grad_cam
from src.eval.explanations.spatial_map import find_spatial_map
from tests.eval.explanations.planted import SIZE, color_seer, patches, tiny_cnn, tiny_vit


def pixels(count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8))


@pytest.mark.parametrize("encoder", [tiny_cnn, tiny_vit, lambda: tiny_vit(reg_tokens=2)])
def test_it_is_what_autograd_gives_by_hand(encoder) -> None:
    network, images = encoder(), pixels()
    other = F.normalize(torch.randn(3, 8), dim=1)
    where = find_spatial_map(network, SIZE)
    caught: list[torch.Tensor] = []
    layer = network.backbone.get_submodule(where.layer)
    handle = layer.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    features = network.features(images)
    handle.remove()
    scalar = ((features * other).sum(dim=1) / features.norm(dim=1).detach()).sum()
    (gradient,) = torch.autograd.grad(scalar, caught)
    maps, slopes = caught[0], gradient
    if where.layout == "tokens":
        maps, slopes = (one[:, where.prefix :].transpose(1, 2).reshape(3, -1, 8, 8) for one in (maps, slopes))
    by_hand = (slopes * maps).sum(dim=1)
    assert by_hand.abs().max() > 1e-4
    torch.testing.assert_close(cell_map(network, images, other, where), by_hand.detach(), atol=1e-6, rtol=1e-4)


def test_averaged_features_are_decomposed_exactly() -> None:
    network, images = color_seer(), pixels()
    with torch.no_grad():
        embeddings = network(images)
        other = embeddings.roll(1, 0)
        cosine = (embeddings * other).sum(dim=1)
    cells = cell_map(network, images, other, find_spatial_map(network, SIZE))
    torch.testing.assert_close(cells.sum(dim=(1, 2)), cosine, atol=1e-5, rtol=0)
    # Of an averaged map each position has the same gradient, so Grad-CAM as published gives the same.
    lengths = network.features(images).norm(dim=1).detach()
    published = LayerGradCam(
        lambda shown: (network.features(shown) * other).sum(dim=1) / lengths, network.backbone.cells
    )
    torch.testing.assert_close(published.attribute(images.float().requires_grad_())[:, 0].detach(), cells)


def test_a_network_that_sees_one_patch_points_there_and_frozen_weights_change_nothing() -> None:
    network = color_seer()
    shown, masks = patches(6, color=0, seed=1)
    with torch.no_grad():
        other = network(torch.from_numpy(patches(6, color=0, seed=2)[0]))
    maps = grad_cam(network, torch.from_numpy(shown), other)
    assert maps.shape == (6, SIZE, SIZE)
    assert maps.dtype == torch.float32
    for found, mask in zip(maps.numpy(), masks, strict=True):
        assert mask[np.unravel_index(found.argmax(), found.shape)]
        # Half a cell to each side is what upsampling and shifting may blur.
        assert found[mask].sum() > 0.5 * found.sum()
    unlike = torch.tensor([[0.0, 0.0, 1.0]]).expand(6, 3)
    assert float(grad_cam(network, torch.from_numpy(shown), unlike).abs().max()) < 1e-6
    torch.testing.assert_close(grad_cam(network.requires_grad_(False), torch.from_numpy(shown), other), maps)


def test_one_image_does_not_depend_on_its_batch() -> None:
    network, images = tiny_cnn(), pixels(3)
    other = F.normalize(torch.randn(3, 8), dim=1)
    together = grad_cam(network, images, other)
    alone = torch.cat([grad_cam(network, images[at : at + 1], other[at : at + 1]) for at in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-3)
