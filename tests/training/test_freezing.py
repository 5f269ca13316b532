"""Frozen stages: no gradient, no graph, no moving statistics; and stages that are let go."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import lightning
import pytest
import timm
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.contracts.errors import ConfigError
from src.training.freezing import Freezing, freeze_stages, stages_of
from tests.training.test_metric_learning import Colours, make_module

VIT = {"depth": 2, "embed_dim": 12, "num_heads": 1, "img_size": 32}
NETWORKS: dict[str, tuple[dict, int, str, str]] = {
    # Arguments; stages; a parameter of the first and of the last.
    "mobilenetv2_050": ({}, 8, "conv_stem.weight", "conv_head.weight"),
    "resnet10t": ({"channels": [8, 8, 16, 16]}, 5, "conv1.0.weight", "layer4.0.conv2.weight"),
    "vit_tiny_patch16_224": (VIT, 3, "pos_embed", "norm.weight"),
    "convnext_atto": ({"dims": (8, 8, 16, 16), "depths": (1, 1, 1, 1)}, 6, "stem.0.weight", "head.norm.bias"),
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = timm.create_model(name, **NETWORKS[name][0])
    made.reset_classifier(0)
    return made.train()


@pytest.mark.parametrize("name", NETWORKS)
def test_frozen_stages_have_no_gradient_and_the_others_do(name: str) -> None:
    _, count, first, last = NETWORKS[name]
    stages = stages_of(network(name))
    assert (stages[first], stages[last], max(stages.values())) == (0, count - 1, count - 1)
    for frozen in (0, 1, count - 1, count):
        made = network(name)
        freeze_stages(made, frozen)
        before = {key: value.clone() for key, value in made.state_dict().items()}
        features = made(torch.randn(4, 3, 32, 32))
        assert features.requires_grad == (frozen < count)
        if features.requires_grad:
            features.square().sum().backward()
        for key, parameter in made.named_parameters():
            assert (parameter.grad is not None) == (stages[key] >= frozen), key
        moved = {key for key, value in made.state_dict().items() if not torch.equal(value, before[key])}
        statistics = {f"{key}.running_mean" for key, module in made.named_modules() if isinstance(module, _BatchNorm)}
        expected = {key for key in statistics if stages[key.replace("running_mean", "weight")] >= frozen}
        assert moved & statistics == expected


def graph(node: object) -> Iterator[object]:
    for below, _ in getattr(node, "next_functions", ()):
        if below is not None:
            yield below
            yield from graph(below)


def test_nothing_is_kept_for_the_backward_pass_of_a_frozen_stage() -> None:
    made = network("mobilenetv2_050")
    sizes = []
    for frozen in (0, 4, 7):
        freeze_stages(made, frozen)
        sizes.append(len(set(graph(made(torch.randn(2, 3, 32, 32)).grad_fn))))
    assert sizes[1] < 0.7 * sizes[0]
    assert sizes[2] < 0.2 * sizes[0]


def test_norms_keep_their_statistics_and_train_their_weights() -> None:
    made = network("resnet10t")
    freeze_stages(made, 0, norms=True)
    before = {key: value.clone() for key, value in made.named_buffers()}
    made(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in made.named_buffers())
    assert all(parameter.grad is not None for parameter in made.parameters())


def test_more_stages_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`optim\.freeze=6`: ResNet has 5 stages; 5 freeze all of it"):
        freeze_stages(network("resnet10t"), 6)
    with pytest.raises(ConfigError, match=r"timm names no stages of Linear; set `optim\.freeze=0`"):
        freeze_stages(nn.Linear(2, 2), 1)
    freeze_stages(nn.Linear(2, 2), 0)


def test_something_must_be_left_to_train() -> None:
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module = make_module()
    Freezing(stages=5).setup(trainer, module, "fit")
    module.encoder.head = nn.Identity()
    with pytest.raises(ConfigError, match=r"`optim\.freeze=5`: no trainable parameter remains; .*`model\.head=mlp`"):
        Freezing(stages=5).setup(trainer, module, "fit")


def test_an_epoch_has_the_stages_of_the_last_change() -> None:
    freezing = Freezing(stages=5, unfreeze={4: 0, 2: 3})
    assert [freezing.frozen(epoch) for epoch in range(6)] == [5, 5, 3, 3, 0, 0]
    assert [Freezing(stages=1).frozen(epoch) for epoch in (0, 7)] == [1, 1]


class KeepStates(lightning.Callback):
    """The backbone's weights and statistics at the end of each epoch, and a checkpoint of the second."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.states: list[dict[str, torch.Tensor]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.states.append({key: value.clone() for key, value in pl_module.encoder.backbone.state_dict().items()})
        if trainer.current_epoch == 1:
            trainer.save_checkpoint(self.checkpoint)


def plain_trainer(*callbacks: lightning.Callback, epochs: int) -> lightning.Trainer:
    """Without checkpoints and loggers, so that a run may be repeated."""
    return lightning.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )


def test_stages_are_let_go_by_epoch_and_a_resumed_run_goes_on_alike(tmp_path: Path) -> None:
    schedule: dict = {"freeze": 5, "unfreeze": {1: 3, 2: 0}}

    def trained(name: str, resume: Path | None) -> list[dict[str, torch.Tensor]]:
        lightning.seed_everything(0, verbose=False)
        keep = KeepStates(tmp_path / f"{name}.ckpt")
        module = make_module(**schedule)
        states = [{key: value.clone() for key, value in module.encoder.backbone.state_dict().items()}]
        trainer = plain_trainer(keep, epochs=3)
        trainer.fit(module, Colours(), ckpt_path=resume, weights_only=True)
        return states + keep.states

    whole = trained("whole", None)
    stages = stages_of(make_module().encoder.backbone)
    moved = [
        {stages[f"{key.rsplit('.', 1)[0]}.weight"] for key in after if not torch.equal(after[key], before[key])}
        for before, after in pairwise(whole)
    ]
    assert moved == [set(), {3, 4}, {0, 1, 2, 3, 4}]
    resumed = trained("resumed", tmp_path / "whole.ckpt")
    assert len(resumed) == 2
    for key, value in whole[-1].items():
        torch.testing.assert_close(resumed[-1][key], value, rtol=0, atol=0)
