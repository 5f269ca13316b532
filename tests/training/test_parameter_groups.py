"""Groups for the optimiser: each parameter once, at its layer's rate, and decay where it belongs."""

import pytest
import torch
from pytorch_metric_learning.losses import ProxyAnchorLoss
from timm.optim import param_groups_layer_decay
from torch import nn

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.models.encoder import build_encoder
from src.training.parameter_groups import layer_scales, parameter_groups

NETWORKS: dict[str, dict] = {
    "mobilenetv2_050": {},
    "resnet10t": {"channels": [8, 8, 16, 16]},
    "vit_tiny_patch16_224": {"depth": 3, "embed_dim": 12, "num_heads": 1},
}


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
@pytest.mark.parametrize("backbone", NETWORKS)
def test_each_parameter_has_one_group_and_vectors_do_not_decay(backbone: str, layer_decay: float) -> None:
    spec = PreprocessingSpec(size=32)
    encoder = build_encoder(spec=spec, backbone=backbone, backbone_kwargs=NETWORKS[backbone], embedding_dim=8)
    objective = nn.ModuleDict({"loss": ProxyAnchorLoss(num_classes=5, embedding_size=8)})
    whole = nn.ModuleDict({"encoder": encoder, "objective": objective})
    groups = parameter_groups(
        encoder, objective, lr=3.0, backbone_lr=2.0, proxy_lr=5.0, weight_decay=0.1, layer_decay=layer_decay
    )
    torch.optim.AdamW(groups)
    names = {id(parameter): name for name, parameter in whole.named_parameters()}
    found = {names[id(value)]: (group["lr"], group["weight_decay"]) for group in groups for value in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found) == len(names)
    # timm's own grouping, which gives scales.
    theirs = param_groups_layer_decay(
        encoder.backbone,
        weight_decay=0.1,
        layer_decay=layer_decay,
        no_weight_decay_list=["pos_embed", "cls_token"],
    )
    expected = {
        names[id(value)]: (2 * group["lr_scale"], group["weight_decay"])
        for group in theirs
        for value in group["params"]
    }
    for name, parameter in whole.named_parameters():
        if not name.startswith("encoder.backbone."):
            rate = 5.0 if name.startswith("objective.") else 3.0
            expected[name] = (rate, 0.1 if parameter.ndim > 1 else 0.0)
    # Powers of one half, so exact.
    assert found == expected
    backbone_rates = {rate for name, (rate, _) in found.items() if name.startswith("encoder.backbone.")}
    assert max(backbone_rates) == 2.0
    assert len(backbone_rates) == (1 if layer_decay == 1 else len(set(layer_scales(encoder.backbone, 0.5).values())))
    assert len(backbone_rates) >= (1 if layer_decay == 1 else 4)


def test_layers_of_nearly_equal_rates_keep_their_own() -> None:
    spec = PreprocessingSpec(size=32)
    encoder = build_encoder(spec=spec, backbone="resnet10t", backbone_kwargs=NETWORKS["resnet10t"], embedding_dim=8)
    rates = {"lr": 1.0, "backbone_lr": 1.0, "proxy_lr": 1.0, "weight_decay": 0.1}
    groups = parameter_groups(encoder, nn.Module(), layer_decay=0.99999, **rates)
    found = {id(value): group["lr"] for group in groups for value in group["params"]}
    scales = layer_scales(encoder.backbone, 0.99999)
    assert len(set(scales.values())) > 3
    assert {name: found[id(value)] for name, value in encoder.backbone.named_parameters()} == scales
    assert len({group["name"] for group in groups}) == len(groups)


def test_layers_without_names_have_no_decay() -> None:
    assert layer_scales(nn.Linear(2, 2), 1.0) == {"weight": 1.0, "bias": 1.0}
    with pytest.raises(ConfigError, match=r"timm names no layers of Linear; set `optim\.layer_decay=1`"):
        layer_scales(nn.Linear(2, 2), 0.7)
