"""The map that Grad-CAM reads is found by rule, and seen in one layout."""

import pytest
import torch
from torch import nn

from src.contracts.errors import ConfigError
from src.eval.explanations.spatial_map import SpatialMap, exposed_map, find_spatial_map
from src.models.encoder import Encoder
from tests.eval.explanations.planted import SPEC, tiny_cnn, tiny_vit


def swin() -> Encoder:
    shape = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1), "window_size": 2, "img_size": 32}
    return tiny_cnn(backbone="swin_tiny_patch4_window7_224", backbone_kwargs=shape)


@pytest.mark.parametrize(
    ("encoder", "size", "expected"),
    [
        (tiny_cnn, 32, SpatialMap("layer1", "NCHW", 0, 8, 8)),
        (tiny_cnn, 64, SpatialMap("layer2", "NCHW", 0, 8, 8)),
        (tiny_cnn, 224, SpatialMap("layer4", "NCHW", 0, 7, 7)),
        (tiny_cnn, 12, SpatialMap("act1", "NCHW", 0, 6, 6)),
        (tiny_vit, 32, SpatialMap("blocks.1.norm1", "tokens", 1, 8, 8)),
        (lambda: tiny_vit(reg_tokens=3), 32, SpatialMap("blocks.1.norm1", "tokens", 4, 8, 8)),
        (lambda: tiny_vit(class_token=False, global_pool="avg"), 32, SpatialMap("blocks.1.norm1", "tokens", 0, 8, 8)),
        (swin, 32, SpatialMap("layers.0", "NHWC", 0, 8, 8)),
    ],
)
def test_the_deepest_map_of_seven_cells_is_found_and_read(encoder, size: int, expected: SpatialMap) -> None:
    network = encoder()
    assert find_spatial_map(network, size) == expected
    pixels = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        before = network(pixels)
        with exposed_map(network, expected) as grid:
            grid.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
            during = network(pixels)
        after = network(pixels)
    assert [one.shape[0::2] for one in seen] == [(2, expected.height)]
    assert seen[0].shape[3] == expected.width
    torch.testing.assert_close(during, before)
    torch.testing.assert_close(after, before)
    assert len(seen) == 1


def test_a_backbone_without_maps_is_named() -> None:
    flat = Encoder(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)), nn.Identity(), dim=4, spec=SPEC)
    with pytest.raises(ConfigError, match="Sequential: timm's `feature_info` names no feature map"):
        find_spatial_map(flat, 32)
