"""The moving average of weights: what is validated and kept, and a resumed run that goes on with it."""

from pathlib import Path

import lightning
import pytest
import torch

from src.models.checkpoint import load_encoder
from src.training.trainer import fit
from tests.training.test_freezing import plain_trainer
from tests.training.test_metric_learning import Colours, card, make_module, make_trainer  # noqa: F401  # card: a fixture

DECAY = 0.8


class Watch(lightning.Callback):
    """The average by its definition, over weights and statistics alike, and what validation sees."""

    def __init__(self) -> None:
        self.average: dict[str, torch.Tensor] = {}
        self.validated: dict[str, torch.Tensor] = {}

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: object) -> None:
        state = {key: value.double().clone() for key, value in pl_module.encoder.state_dict().items()}
        if self.average:
            state = {key: DECAY * self.average[key] + (1 - DECAY) * value for key, value in state.items()}
        self.average = state

    def on_validation_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: object
    ) -> None:
        self.validated = {key: value.clone() for key, value in pl_module.encoder.state_dict().items()}


def averaged(state: dict[str, torch.Tensor], watch: Watch) -> None:
    for key, value in state.items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), watch.average[key], atol=1e-5, rtol=1e-4)


def test_the_average_is_validated_and_kept(tmp_path: Path, card: dict) -> None:  # noqa: F811
    lightning.seed_everything(0, verbose=False)
    watch, module = Watch(), make_module(card, ema=DECAY)
    trainer = make_trainer(tmp_path)
    trainer.callbacks.append(watch)
    best = fit(trainer, module, Colours(), epochs=2)
    averaged(watch.validated, watch)
    averaged(load_encoder(best)[0].state_dict(), watch)
    averaged(module.encoder.state_dict(), watch)


def test_a_resumed_run_goes_on_with_the_average(tmp_path: Path) -> None:
    class Keep(lightning.Callback):
        def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    states = []
    for resume in (None, tmp_path / "0.ckpt"):
        lightning.seed_everything(0, verbose=False)
        module = make_module(ema=DECAY)
        plain_trainer(Keep(), epochs=2).fit(module, Colours(), ckpt_path=resume, weights_only=True)
        states.append(module.encoder.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, atol=0, rtol=0)


@pytest.mark.parametrize("ema", [0.0, DECAY])
def test_the_average_differs_from_the_last_weights(ema: float) -> None:
    lightning.seed_everything(0, verbose=False)
    last: dict[str, torch.Tensor] = {}

    class Last(lightning.Callback):
        def on_train_batch_end(
            self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: object
        ) -> None:
            last.update({key: value.clone() for key, value in pl_module.encoder.state_dict().items()})

    module = make_module(ema=ema)
    plain_trainer(Last(), epochs=1).fit(module, Colours())
    same = all(torch.equal(value, last[key]) for key, value in module.encoder.state_dict().items())
    assert same == (ema == 0)
