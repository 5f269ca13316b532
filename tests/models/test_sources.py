"""Networks from folders, the hub, torchvision and open_clip, and the preprocessing that their weights bring."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
import torchvision
from timm.models import save_for_hf
from torch import nn

from src.commandline import composed
from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EncoderSettings, TrainSettings
from src.models.checkpoint import load_encoder, make_card
from src.models.encoder import build_encoder
from src.models.sources import resolved_source
from src.models.warm_start import initial_encoder
from src.models.weights_preprocessing import weights_preprocessing
from tests.models.published import RESNET, SPEC, write_checkpoint
from tests.models.test_encoder import NARROW, pixels
from tests.models.test_warm_start import settings


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A network in timm's format, and the network."""
    torch.manual_seed(3)
    network = timm.create_model("resnet10t", num_classes=5, **NARROW)
    network.pretrained_cfg = {**network.pretrained_cfg, "mean": (0.1, 0.2, 0.3), "interpolation": "bilinear"}
    save_for_hf(network, str(tmp_path / "net"), model_args=NARROW, safe_serialization=True)
    network.reset_classifier(0)
    return tmp_path / "net", network.eval()


def same_features(encoder: Any, network: nn.Module, spec: PreprocessingSpec = SPEC) -> None:
    images = torch.randn(2, 3, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder.backbone.eval()(images), network(images), atol=1e-6, rtol=0)


def test_a_folder_brings_its_network_its_weights_and_its_preprocessing(
    folder: tuple, data_settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path, network = folder
    model = EncoderSettings(backbone=f"local-dir:{path}", head="none")
    encoder = initial_encoder(spec=SPEC, **asdict(model))
    same_features(encoder, network)
    spec = weights_preprocessing(asdict(model))
    assert (spec.mean, spec.interpolation) == ((0.1, 0.2, 0.3), "bilinear")
    assert "resnet10t were trained with mean (0.1, 0.2, 0.3)" in caplog.text
    caplog.clear()
    initial_encoder(spec=replace(SPEC, mean=spec.mean, std=spec.std), **asdict(model))
    initial_encoder(spec=SPEC, **asdict(replace(model, pretrained=False)))
    assert caplog.text == ""
    # The checkpoint needs the folder no longer.
    card = make_card(settings(data_settings(), model=model))
    assert (card["model"]["backbone"], card["model"]["backbone_kwargs"]) == (
        "resnet10t",
        {**NARROW, "global_pool": "avg"},
    )
    assert card["start"] == {"pretrained": True, "weights": "net"}


def test_a_folder_s_weights_are_taken_by_a_network_of_its_kind_only(folder: tuple) -> None:
    path, network = folder
    arguments: dict = {"spec": SPEC, "head": "none", "weights": str(path)}
    same_features(build_encoder(backbone="resnet10t", backbone_kwargs=NARROW, **arguments), network)
    with pytest.raises(ConfigError, match=r"holds resnet10t, but `model\.backbone=resnet18`"):
        build_encoder(backbone="resnet18", **arguments)
    untrained = build_encoder(spec=SPEC, backbone=f"local-dir:{path}", pretrained=False, head="none")
    assert not torch.equal(next(untrained.backbone.parameters()), next(network.parameters()))


def test_without_a_network_the_message_says_which_folder_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"`model\.backbone=hf-hub:timm/resnet10t.*model\.backbone=local-dir:DIR"):
        build_encoder(spec=SPEC, backbone="hf-hub:timm/resnet10t", pretrained=True)
    with pytest.raises(ConfigError, match=r"must hold config\.json and model\.safetensors"):
        build_encoder(spec=SPEC, backbone=f"local-dir:{tmp_path}", pretrained=True)
    with pytest.raises(ConfigError, match=r"no timm model.*: hf-hub:NAME, local-dir:DIR, torchvision:NAME"):
        build_encoder(spec=SPEC, backbone="gcs:resnet10t")


def test_other_names_stay_as_they_are() -> None:
    model = asdict(RESNET)
    assert resolved_source(model) == model


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_network_of_torchvision_gives_what_its_classifier_gets(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    inputs: list[torch.Tensor] = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_hook(lambda _module, given, _output: inputs.append(given[0]))
    weights = str(tmp_path / "weights.pth")
    encoder = build_encoder(spec=SPEC, backbone=f"torchvision:{name}", weights=weights, head="none").eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.eval()(images)
        torch.testing.assert_close(encoder.backbone(images), inputs[0], atol=1e-6, rtol=0)


def test_a_checkpoint_of_torchvision_s_network_is_opened(tmp_path: Path, data_settings: Any) -> None:
    model = replace(RESNET, backbone="torchvision:resnet18", backbone_kwargs={})
    expected = write_checkpoint(tmp_path / "best.ckpt", data_settings(), model)(pixels(2))
    torch.testing.assert_close(load_encoder(tmp_path / "best.ckpt")[0](pixels(2)), expected)


def test_torchvision_s_preprocessing_is_that_of_its_weights() -> None:
    spec = weights_preprocessing({"backbone": "torchvision:resnet50"})
    # https://pytorch.org/vision/stable/models/generated/torchvision.models.resnet50.html, IMAGENET1K_V2
    assert (spec.size, spec.crop_fraction, spec.interpolation) == (224, 224 / 232, "bilinear")
    assert spec.mean == (0.485, 0.456, 0.406)


def test_torchvision_s_other_networks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`model\.backbone=torchvision:resnet51`: must be one of alexnet, "):
        build_encoder(spec=SPEC, backbone="torchvision:resnet51")
    with pytest.raises(ConfigError, match="SqueezeNet ends with no linear layer"):
        build_encoder(spec=SPEC, backbone="torchvision:squeezenet1_0")


class Tower(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * size * size, 6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))


class FakeOpenClip(ModuleType):
    """What is used of open_clip 3, whose own networks have tens of millions of weights."""

    OPENAI_DATASET_MEAN, OPENAI_DATASET_STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
    asked: dict

    def list_models(self) -> list[str]:
        return ["ViT-S"]

    def list_pretrained_tags_by_model(self, model: str) -> list[str]:
        return ["siglip"]

    def get_pretrained_cfg(self, model: str, tag: str) -> dict:
        return {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "resize_mode": "squash", "interpolation": "bicubic"}

    def get_model_config(self, model: str) -> dict:
        return {"vision_cfg": {"image_size": 48}}

    def create_model(self, model: str, **asked: Any) -> Any:
        self.asked = asked
        clip = nn.Module()
        clip.visual = Tower(asked["force_image_size"])
        return clip


def test_the_image_tower_of_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeOpenClip("open_clip")
    monkeypatch.setitem(sys.modules, "open_clip", library)
    encoder = build_encoder(spec=SPEC, backbone="open_clip:ViT-S/siglip", pretrained=True, head="none")
    assert (encoder.dim, library.asked["pretrained"], library.asked["load_weights"]) == (6, "siglip", True)
    # As a checkpoint opens it.
    build_encoder(spec=SPEC, backbone="open_clip:ViT-S/siglip", head="none")
    assert (library.asked["pretrained"], library.asked["load_weights"]) == (None, False)
    spec = weights_preprocessing({"backbone": "open_clip:ViT-S/siglip"})
    assert (spec.size, spec.resize, spec.mean) == (48, "squash", (0.5, 0.5, 0.5))
    assert weights_preprocessing({"backbone": "open_clip:ViT-S"}).mean == (0.48, 0.46, 0.41)
    for name, message in (("ViT-S", "name the weights"), ("ViT-S/laion", "one of siglip"), ("ViT-X", "one of ViT-S")):
        with pytest.raises(ConfigError, match=message):
            build_encoder(spec=SPEC, backbone=f"open_clip:{name}", pretrained=True)


def test_without_open_clip_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ConfigError, match="pip install open_clip_torch"):
        build_encoder(spec=SPEC, backbone="open_clip:ViT-B-32")


def test_preprocessing_is_taken_from_the_weights_on_the_command_line(
    folder: tuple, tmp_path: Path, data_settings: Any
) -> None:
    def spec(*overrides: str) -> PreprocessingSpec:
        given = ["data=shop", "preprocessing=as_weights", f"hydra.runtime.output_dir={tmp_path}", *overrides]
        return composed(TrainSettings, "train", *given).preprocessing

    theirs = timm.get_pretrained_cfg("mobilenetv2_100")
    found = spec("model=mobilenetv2_100")
    assert (found.mean, found.std, found.crop_fraction) == (theirs.mean, theirs.std, theirs.crop_pct)
    assert spec(f"model.backbone=local-dir:{folder[0]}", "preprocessing.size=64") == PreprocessingSpec(
        size=64, crop_fraction=0.875, interpolation="bilinear", mean=(0.1, 0.2, 0.3), std=(0.229, 0.224, 0.225)
    )
    write_checkpoint(tmp_path / "best.ckpt", data_settings())
    assert spec(f"model.weights={tmp_path / 'best.ckpt'}", "model.backbone=resnet10t") == SPEC
    assert np.isclose(spec("model=vit_small_patch16_224").crop_fraction, 0.9)
    with pytest.raises(ConfigError, match=r"`preprocessing=as_weights`: nothing does not describe its pixels"):
        weights_preprocessing({"backbone": "nothing"})
