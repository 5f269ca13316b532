"""Backbones and heads of one's own, by `_target_`, and the trust that a checkpoint needs."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from src.contracts import trust as trusted
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings import EncoderSettings
from src.contracts.settings.encoder import encoder_problems
from src.models.checkpoint import load_encoder, read_card
from src.models.encoder import build_encoder
from src.models.warm_start import initial_encoder
from src.models.weights_preprocessing import weights_preprocessing
from tests.models.published import RESNET, SPEC, write_checkpoint
from tests.models.test_encoder import pixels

PACKAGE = '''
"""Parts of one's own."""
from torch import nn


class Mean(nn.Module):
    preprocessing = {"size": 48, "mean": (0.1, 0.2, 0.3)}

    def __init__(self, width=5):
        super().__init__()
        self.layer = nn.Linear(3, width)

    def forward(self, images):
        return self.layer(images.mean(dim=(2, 3)))


class Halves(nn.Linear):
    def __init__(self, width, embedding_dim, bias=True):
        super().__init__(width, embedding_dim // 2, bias=bias)


class Whole(nn.Module):
    def forward(self, features):
        return features[:, :, None]


class Maps(nn.Module):
    def forward(self, images):
        return images[:, :, ::8, ::8]


def number(**_):
    return 3
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that nothing trusts, with a name of its own for each test."""
    name = f"parts_{tmp_path.name.lower().replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(trusted, "_TRUSTED", set())
    yield name
    sys.modules.pop(name, None)


def own(package: str) -> EncoderSettings:
    backbone = {"_target_": f"{package}.Mean", "width": 7}
    head = {"_target_": f"{package}.Halves", "bias": False}
    return EncoderSettings(backbone=backbone, pretrained=False, head=head, embedding_dim=8)


def test_a_class_gets_its_arguments_and_of_the_sizes_those_that_it_takes(package: str, tmp_path: Path) -> None:
    model = own(package)
    assert encoder_problems(model) == []
    encoder = build_encoder(spec=SPEC, backbone=model.backbone, head=model.head, embedding_dim=8).eval()
    assert encoder.backbone.layer.out_features == 7
    assert (encoder.head.in_features, encoder.head.bias, encoder.dim) == (7, None, 4)
    weights = tmp_path / "weights.pth"
    torch.save(encoder.backbone.state_dict(), weights)
    again = build_encoder(spec=SPEC, backbone=model.backbone, head=model.head, embedding_dim=8, weights=str(weights))
    assert torch.equal(again.backbone.layer.weight, encoder.backbone.layer.weight)
    assert weights_preprocessing({"backbone": model.backbone}).size == 48


def test_a_checkpoint_runs_no_code_of_a_package_that_is_not_trusted(
    package: str, tmp_path: Path, data_settings: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.ckpt"
    expected = write_checkpoint(path, data_settings(), own(package))(pixels(2))
    # The process that trained may open what it wrote.
    load_encoder(path)
    monkeypatch.setattr(trusted, "_TRUSTED", set())
    del sys.modules[package]
    with pytest.raises(LookalikeError, match=rf"`checkpoint=.*{package}\.Mean, .*set `trust=\[{package}\]`"):
        load_encoder(path)
    assert package not in sys.modules
    # What the config names may be continued from.
    model = {**asdict(own(package)), "weights": str(path)}
    torch.testing.assert_close(initial_encoder(spec=SPEC, **model).eval()(pixels(2)), expected)
    monkeypatch.setattr(trusted, "_TRUSTED", {package})
    torch.testing.assert_close(load_encoder(path)[0](pixels(2)), expected)


@pytest.mark.parametrize("path", ["os.system", "torch.hub.load", "{package}x.Mean"])
def test_trust_is_for_one_package(path: str, package: str, tmp_path: Path, data_settings: Callable) -> None:
    trusted.trust(package)
    file = tmp_path / "best.ckpt"
    write_checkpoint(file, data_settings())
    content = torch.load(file, weights_only=True)
    content["lookalike"]["model"]["head"] = {
        "_target_": path.format(package=package),
        "command": f"touch {tmp_path}/ran",
    }
    torch.save(content, file)
    with pytest.raises(LookalikeError, match="loading it would run that package's code"):
        load_encoder(file)
    assert not (tmp_path / "ran").exists()


def test_old_checkpoints_name_their_head_and_are_opened(tmp_path: Path, data_settings: Callable) -> None:
    for head in ("mlp", "linear", "residual", "none", "pca"):
        path = tmp_path / f"{head}.ckpt"
        expected = write_checkpoint(path, data_settings(), replace(RESNET, head=head))(pixels(2))
        assert read_card(path)["model"]["head"] == head
        torch.testing.assert_close(load_encoder(path)[0](pixels(2)), expected)


@pytest.mark.parametrize(
    ("backbone", "head", "pretrained", "message"),
    [
        (
            {"_target_": "{p}.Mean", "depth": 3},
            "none",
            False,
            r"Mean with \{'depth': 3\}: TypeError",
        ),
        ({"_target_": "{p}.Absent"}, "none", False, r"`model\.backbone`: `_target_=.*Absent`: cannot be imported"),
        ({"_target_": "{p}.number"}, "none", False, r"number makes a int; it must make a torch\.nn\.Module"),
        ({"_target_": "{p}.Mean"}, "none", True, r"`model\.pretrained=true`: Mean has no weights by name"),
        ({"_target_": "{p}.Mean"}, {"_target_": "{p}.Whole"}, False, r"Whole makes no embeddings .*\(1, 5, 1\)"),
        (
            {"_target_": "{p}.Mean"},
            {"_target_": "src.models.heads.MLPHead", "p": 3},
            False,
            r"MLPHead .*TypeError",
        ),
        ({"_target_": "{p}.Mean"}, "gem", False, r"GeMHead takes maps of layout NCHW, and Mean gives \(1, 5\)"),
        ({"_target_": "{p}.Maps"}, "none", False, r"IdentityHead takes features, and Maps gives \(1, 3, 4, 4\)"),
        ({"_target_": "{p}.Whole"}, "none", False, r"Whole gives \(1, 3, 1, 32, 32\); it must give features"),
    ],
)
def test_what_cannot_work_is_named(backbone, head, pretrained: bool, message: str, package: str) -> None:
    def filled(part):
        return part if isinstance(part, str) else {**part, "_target_": part["_target_"].format(p=package)}

    with pytest.raises(ConfigError, match=message):
        build_encoder(spec=SPEC, backbone=filled(backbone), head=filled(head), pretrained=pretrained, embedding_dim=4)


def test_settings_without_a_name_or_with_two_places_for_arguments_are_refused() -> None:
    model = EncoderSettings(backbone={"_target_": "a.B"}, backbone_kwargs={"c": 1}, head={"p": 3})
    problems = encoder_problems(model)
    assert "`model.head={'p': 3}`: must be a name, or a class in `model.head._target_`" in problems[0]
    assert "`model.backbone_kwargs={'c': 1}`: a class of yours takes its arguments beside" in problems[1]
