"""Training that starts from an earlier run."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EncoderSettings, TrainerSettings, TrainSettings
from src.models.checkpoint import CARD, make_card, method_of, read_card
from src.models.encoder import Encoder, build_encoder
from src.models.warm_start import initial_encoder

SPEC = PreprocessingSpec(size=32, resize="squash")
MODEL = EncoderSettings(
    backbone="resnet10t",
    pretrained=False,
    backbone_kwargs={"channels": [8, 8, 16, 16]},
    hidden_dim=16,
    embedding_dim=8,
)


def settings(data: Any, **changes: Any) -> TrainSettings:
    values = {
        "name": "first",
        "seed": 5,
        "data": data,
        "preprocessing": SPEC,
        "model": MODEL,
        "loss": {"_target_": "pytorch_metric_learning.losses.TripletMarginLoss"},
        "trainer": TrainerSettings(epochs=1),
    }
    return TrainSettings(**{**values, **changes})


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(1)
    return build_encoder(spec=SPEC, **asdict(MODEL))


@pytest.fixture
def run(tmp_path: Path, data_settings, encoder: Encoder) -> str:
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()} | {"objective.w": torch.ones(1)}
    path = tmp_path / "best.ckpt"
    torch.save({CARD: make_card(settings(data_settings())), "state_dict": state}, path)
    return str(path)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def start(weights: str | None, spec: PreprocessingSpec = SPEC, **changes: Any) -> Encoder:
    torch.manual_seed(2)
    return initial_encoder(spec=spec, **{**asdict(MODEL), "weights": weights, **changes})


def test_backbone_and_head_of_an_earlier_run_are_taken(run: str, encoder: Encoder) -> None:
    started = start(run)
    assert same(started, encoder)
    assert started.training
    # timm's weights of that name are not looked for.
    assert same(start(run, pretrained=True), encoder)
    assert not same(start(None), encoder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"embedding_dim": 4}, "model.embedding_dim was 8, is 4"),
        ({"hidden_dim": 24}, "model.hidden_dim was 16, is 24"),
        ({"head": "none"}, "model.head was mlp, is none"),
    ],
)
def test_with_another_head_the_backbone_alone_is_taken_and_said(
    changes: dict, said: str, run: str, encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        started = start(run, **changes)
    assert same(started.backbone, encoder.backbone)
    assert caplog.messages == [f"start: the backbone alone of the run 'first', with a new head ({said})"]
    assert started.dim == changes.get("embedding_dim", 16 if "head" in changes else 8)


def test_sizes_that_a_head_has_not_do_not_cost_it_its_weights(run: str) -> None:
    content = torch.load(run, weights_only=True)
    card, torch_head = content[CARD], torch.nn.Linear(16, 8).state_dict()
    state = {name: value for name, value in content["state_dict"].items() if ".head." not in name}
    state |= {f"encoder.head.{name}": value for name, value in torch_head.items()}
    torch.save({CARD: {**card, "model": {**card["model"], "head": "linear"}}, "state_dict": state}, run)
    assert torch.equal(start(run, head="linear", hidden_dim=99).state_dict()["head.weight"], torch_head["weight"])


def test_a_run_of_before_heads_could_be_chosen_is_one_with_an_mlp(run: str, encoder: Encoder) -> None:
    content = torch.load(run, weights_only=True)
    del content[CARD]["model"]["head"]
    torch.save(content, run)
    assert same(start(run), encoder)
    assert not same(start(run, head="linear").head, encoder.head)


@pytest.mark.parametrize(
    ("spec", "changes", "named"),
    [
        (SPEC, {"backbone": "resnet18"}, "`model.backbone` was resnet10t, is resnet18"),
        (
            SPEC,
            {"backbone_kwargs": {"channels": [8, 8, 16, 32]}},
            r"was \{'channels': \[8, 8, 16, 16\]\}, is \{'channels': \[8, 8, 16, 32\]\}",
        ),
        (SPEC, {"backbone_kwargs": {}}, r"`model\.backbone_kwargs` was \{'channels'.*, is \{\}"),
        (PreprocessingSpec(size=64, resize="squash"), {}, r"`preprocessing\.size` was 32, is 64"),
        (PreprocessingSpec(size=32, resize="pad"), {}, f"preprocessing {SPEC.hash} there, .*was squash, is pad"),
    ],
)
def test_another_backbone_or_preprocessing_is_refused_with_both_named(
    spec: PreprocessingSpec, changes: dict, named: str, run: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)`model\.weights=.*the run 'first' does not fit.*{named}"):
        start(run, spec, **changes)


def test_a_damaged_run_is_named_by_its_setting(run: str) -> None:
    content = torch.load(run, weights_only=True)
    del content["state_dict"]["encoder.head.0.weight"]
    torch.save(content, run)
    with pytest.raises(LookalikeError, match=r"`model\.weights=.*its weights do not fit its card"):
        start(run)


def test_other_files_of_weights_are_timm_s(tmp_path: Path, encoder: Encoder) -> None:
    state = {name: value.contiguous() for name, value in encoder.backbone.state_dict().items()}
    state |= {"fc.weight": torch.zeros(1000, 16), "fc.bias": torch.zeros(1000)}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.ckpt")
    for name in ("w.safetensors", "w.ckpt"):
        assert read_card(tmp_path / name) is None
        assert same(start(str(tmp_path / name)).backbone, encoder.backbone)
    with pytest.raises(ConfigError, match="no such file"):
        start(str(tmp_path / "absent.ckpt"))


def test_the_card_says_which_run_it_was_and_the_method_which_method(run: str, data_settings) -> None:
    warm = settings(data_settings(), model=EncoderSettings(**{**asdict(MODEL), "weights": run}))
    card = make_card(warm)
    earlier = read_card(Path(run))
    assert earlier is not None
    expected = {"name": "first", "seed": 5, "method": method_of(earlier)}
    assert card["start"] == {"pretrained": False, "weights": "best.ckpt", "run": expected}
    # Another seed of the earlier run is another seed, another method of it is another method.
    content = torch.load(run, weights_only=True)
    torch.save({**content, CARD: {**earlier, "seed": 6, "name": "second"}}, run)
    assert method_of(make_card(warm)) == method_of(card)
    assert make_card(warm)["start"]["run"]["seed"] == 6
    torch.save({**content, CARD: {**earlier, "optim": {**earlier["optim"], "lr": 0.5}}}, run)
    assert method_of(make_card(warm)) != method_of(card)
    assert method_of(make_card(settings(data_settings()))) not in (method_of(card), method_of(make_card(warm)))
