"""Low-rank adapters: what they compute, what trains, and that merging changes nothing."""

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EncoderSettings, LoraSettings, OptimSettings
from src.contracts.settings.encoder import encoder_problems
from src.models.checkpoint import CARD, load_encoder, make_card, method_of
from src.models.encoder import Encoder, build_encoder
from src.models.lora import LoRALinear, adapter_names, add_lora, merge_lora
from src.models.warm_start import initial_encoder
from src.training.freezing import freeze_stages
from src.training.interpolation import interpolated
from src.training.parameter_groups import layer_scales, parameter_groups
from tests.models.test_encoder import NARROW, pixels
from tests.models.test_warm_start import settings

SPEC = PreprocessingSpec(size=32)
VIT: dict = {"patch_size": 16, "depth": 3, "embed_dim": 12, "num_heads": 2}
LORA = {"rank": 2, "alpha": 4.0, "layers": ["qkv", "attn.proj"]}
ADAPTED = ["qkv", "attn.proj"]


def encoder(**changes: Any) -> Encoder:
    torch.manual_seed(0)
    arguments: dict = {"backbone": "vit_tiny_patch16_224", "backbone_kwargs": VIT, "hidden_dim": 8, "embedding_dim": 6}
    return build_encoder(spec=SPEC, **{**arguments, **changes})


def trained(made: Encoder) -> Encoder:
    """With adapters that are no longer zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in made.backbone.named_parameters():
            if name in adapter_names(made.backbone):
                value.copy_(0.5 * torch.randn(value.shape, generator=generator))
    return made


def test_a_layer_computes_w_plus_alpha_over_rank_b_a() -> None:
    rng = np.random.default_rng(0)
    weight, bias, a, b = (rng.normal(size=shape) for shape in ((5, 7), (5,), (3, 7), (5, 3)))
    inputs = rng.normal(size=(4, 6, 7))
    expected = inputs @ (weight + 1.5 / 3 * b @ a).T + bias
    plain = nn.Linear(7, 5)
    layer = LoRALinear(plain, rank=3, alpha=1.5)
    with torch.no_grad():
        for parameter, value in zip(
            (layer.weight, layer.bias, layer.lora_a, layer.lora_b), (weight, bias, a, b), strict=True
        ):
            parameter.copy_(torch.from_numpy(value))
        found = layer(torch.from_numpy(inputs).float()).numpy()
        merged = layer.merged()
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(merged(torch.from_numpy(inputs).float()).numpy(), expected, atol=1e-5)
        assert type(merged) is nn.Linear
        np.testing.assert_allclose(merged.weight.numpy(), weight + 0.5 * b @ a, atol=1e-6)


def test_at_the_start_the_outputs_are_the_backbone_s_and_after_merging_the_unmerged_ones() -> None:
    plain, adapted = encoder().eval(), encoder(lora=LORA).eval()
    adapted.load_state_dict(plain.state_dict(), strict=False)
    batch = pixels(3)
    with torch.no_grad():
        torch.testing.assert_close(adapted(batch), plain(batch), atol=0, rtol=0)
        moved = trained(adapted)(batch)
        assert (moved - plain(batch)).abs().max() > 1e-2
        merged = copy.deepcopy(adapted)
        merge_lora(merged.backbone)
        torch.testing.assert_close(merged(batch), moved, atol=1e-5, rtol=0)
    assert {*merged.state_dict()} == {*plain.state_dict()}
    assert not any(isinstance(module, LoRALinear) for module in merged.modules())


def test_adapters_alone_train_and_are_as_many_as_their_rank_says() -> None:
    made = encoder(lora=LORA)
    names = adapter_names(made.backbone)
    # Each of 3 blocks: qkv from 12 to 36, proj from 12 to 12, of rank 2.
    assert sum(p.numel() for n, p in made.backbone.named_parameters() if n in names) == 3 * 2 * (12 + 36 + 12 + 12)
    assert {name for name, p in made.backbone.named_parameters() if p.requires_grad} == names
    assert all(parameter.requires_grad for parameter in made.head.parameters())
    # A callback sets what trains before the first step; it must not wake the rest.
    freeze_stages(made.backbone, 0)
    assert {name for name, p in made.backbone.named_parameters() if p.requires_grad} == names
    freeze_stages(made.backbone, 2)
    lowest = {name for name, p in made.backbone.named_parameters() if p.requires_grad}
    assert lowest == {name for name in names if not name.startswith("blocks.0.")}


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_steps_move_adapters_and_head_at_their_layer_s_rate(optimizer: Any, layer_decay: float) -> None:
    made = encoder(lora=LORA)
    rates = {"lr": 0.03, "backbone_lr": 0.02, "proxy_lr": 0.05, "weight_decay": 0.1}
    groups = parameter_groups(made, nn.Module(), layer_decay=layer_decay, **rates)
    found = {id(value): group["lr"] for group in groups for value in group["params"]}
    assert len(found) == len([*made.parameters()])
    scales = layer_scales(made.backbone, layer_decay)
    for name, value in made.backbone.named_parameters():
        assert found[id(value)] == pytest.approx(0.02 * scales[name])
        assert scales[name] == scales[name.replace("lora_a", "weight").replace("lora_b", "weight")]
    before = {name: value.detach().clone() for name, value in made.named_parameters()}
    steps = optimizer(groups)
    for _ in range(2):
        steps.zero_grad()
        made(pixels(4))[:, 0].sum().backward()
        steps.step()
    moved = {name for name, value in made.named_parameters() if not torch.equal(value, before[name])}
    adapters = {f"backbone.{name}" for name in adapter_names(made.backbone)}
    assert moved == adapters | {name for name in before if name.startswith("head.")}


def test_layers_that_are_not_there_are_refused_with_those_that_are() -> None:
    said = r"`model\.lora\.layers=\['qkv', 'query'\]`: query match no linear layer of VisionTransformer; "
    with pytest.raises(ConfigError, match=said + r"its linear layers are qkv \(3\), proj \(3\), fc1 \(3\), fc2 \(3\)"):
        encoder(lora={**LORA, "layers": ["qkv", "query"]})
    with pytest.raises(ConfigError, match="its linear layers are none"):
        encoder(backbone="resnet10t", backbone_kwargs=NARROW, lora=LORA)


class ReadsItsWeight(nn.Module):
    """As timm's BEiT does with its `qkv`."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.read = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean(dim=(2, 3))
        return self.used(means) + nn.functional.linear(means, self.read.weight)


def test_a_layer_that_the_network_does_not_call_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ReadsItsWeight does not call read but reads the weights"):
        add_lora(ReadsItsWeight(), rank=2, alpha=1, layers=["used", "read"], size=8)
    network = ReadsItsWeight()
    add_lora(network, rank=2, alpha=1, layers=["used"], size=8)
    assert adapter_names(network) == {"used.lora_a", "used.lora_b"}


MODEL = EncoderSettings("vit_tiny_patch16_224", False, None, VIT, "linear", 8, 6, LoraSettings(**LORA))


@pytest.fixture
def run(tmp_path: Path, data_settings: Any) -> tuple[Path, Encoder]:
    made = trained(initial_encoder(spec=SPEC, **asdict(MODEL)))
    path = tmp_path / "best.ckpt"
    card = make_card(settings(data_settings(), model=MODEL, preprocessing=SPEC))
    torch.save({CARD: card, "state_dict": {f"encoder.{k}": v for k, v in made.state_dict().items()}}, path)
    return path, made.eval()


def test_a_checkpoint_holds_adapters_and_is_opened_merged(run: tuple[Path, Encoder]) -> None:
    path, made = run
    opened, _, card = load_encoder(path)
    assert card["model"]["lora"] == LORA
    assert not adapter_names(opened.backbone)
    with torch.no_grad():
        torch.testing.assert_close(opened(pixels(3)), made(pixels(3)), atol=1e-5, rtol=0)


def test_an_earlier_run_s_adapters_are_a_part_of_what_the_next_starts_from(run: tuple[Path, Encoder]) -> None:
    path, made = run
    for lora in (LORA, {**LORA, "rank": None}):
        started = initial_encoder(spec=SPEC, **{**asdict(MODEL), "weights": str(path), "lora": lora}).eval()
        assert len(adapter_names(started.backbone)) == (12 if lora["rank"] else 0)
        with torch.no_grad():
            torch.testing.assert_close(started(pixels(3)), made(pixels(3)), atol=1e-5, rtol=0)


def test_interpolation_is_that_of_the_merged_weights(run: tuple[Path, Encoder]) -> None:
    _, end = run
    start = copy.deepcopy(end)
    for name, value in start.backbone.named_parameters():
        if name.endswith("lora_b"):
            nn.init.zeros_(value)
        if name.endswith("lora_a"):
            nn.init.normal_(value)
    between = copy.deepcopy(end)
    between.load_state_dict(interpolated(start.state_dict(), end.state_dict(), 0.3))
    for model in (start, end, between):
        merge_lora(model.backbone)
    expected = interpolated(start.state_dict(), end.state_dict(), 0.3)
    for name, value in between.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0)


def test_settings_that_cannot_work_are_named(data_settings: Any) -> None:
    wrong = EncoderSettings("resnet10t", lora=LoraSettings(rank=0, alpha=0, layers=[]))
    assert [line.split("`")[1].split("=")[0] for line in encoder_problems(wrong)] == [
        "model.lora.rank", "model.lora.alpha", "model.lora.layers",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"`optim\.l2_sp=0\.1` with `model\.lora\.rank=2`"):
        settings(data_settings(), model=MODEL, optim=OptimSettings(l2_sp=0.1)).check()


def test_without_adapters_a_run_s_method_is_as_before_there_were_any(data_settings: Any) -> None:
    card = make_card(settings(data_settings()))
    assert "lora" not in card["model"]
    other = make_card(settings(data_settings(), model=MODEL))
    assert method_of(other) != method_of(
        make_card(
            settings(
                data_settings(), model=EncoderSettings(**{**asdict(MODEL), "lora": LoraSettings(**{**LORA, "rank": 4})})
            )
        )
    )
