"""Weights between start and end: the formula, and a choice by validation alone."""

from pathlib import Path

import lightning
import pytest
import torch

from src.models.checkpoint import load_encoder
from src.training.interpolation import SHARE, interpolated
from src.training.monitor import MONITOR, Monitor
from src.training.trainer import fit
from tests.training.test_metric_learning import Colours, card, make_module, make_trainer  # noqa: F401  # card: a fixture


def test_it_is_a_line_between_the_two_and_counters_are_kept() -> None:
    start = {"a": torch.tensor([0.0, 2.0]), "n": torch.tensor(3)}
    end = {"a": torch.tensor([4.0, 2.0]), "n": torch.tensor(9)}
    for share, expected in ((0.0, 0.0), (0.25, 1.0), (1.0, 4.0)):
        found = interpolated(start, end, share)
        assert found["a"].tolist() == [expected, 2.0]
        assert int(found["n"]) == 9


class ScoreByDistance(lightning.Callback):
    """Wants the encoder's first weight to lie at a share of its way."""

    def __init__(self, wanted: float | None, start: torch.Tensor, monitor: Monitor) -> None:
        self.wanted, self.start, self.monitor = wanted, start, monitor
        self.end: torch.Tensor | None = None

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        weight = next(pl_module.encoder.parameters()).detach().clone()
        if trainer.state.fn == "fit":
            self.end = weight
            score = 0.5
        elif self.wanted is None:
            score = 0.5
        else:
            score = 1 - float((weight - torch.lerp(self.start, self.end, self.wanted)).norm())
        pl_module.log(self.monitor.name, score if self.monitor.mode == "max" else -score)


@pytest.mark.parametrize(
    ("wanted", "ema", "chosen"), [(0.6, 0.0, 0.6), (0.3, 0.5, 0.3), (1.0, 0.5, 1.0), (None, 0.0, 0.3)]
)
@pytest.mark.parametrize("monitor", [MONITOR, Monitor("val/error", "min")], ids=["max", "min"])
def test_validation_chooses_and_the_checkpoint_holds_it(
    tmp_path: Path,
    card: dict,  # noqa: F811
    wanted: float | None,
    ema: float,
    chosen: float,
    monitor: Monitor,
) -> None:
    lightning.seed_everything(0, verbose=False)
    module = make_module(card, ema=ema, interpolate=[0.3, 0.6], monitor=monitor)
    begin = {name: value.clone() for name, value in module.encoder.state_dict().items()}
    score = ScoreByDistance(wanted, next(module.encoder.parameters()).detach().clone(), monitor)
    trainer = make_trainer(tmp_path, epochs=1, monitor=monitor)
    trainer.callbacks[0] = score
    best = fit(trainer, module, Colours(), epochs=1)
    content = torch.load(best, weights_only=True)
    assert content[SHARE]["share"] == chosen
    assert sorted(content[SHARE]["scores"]) == [0.3, 0.6, 1.0]
    assert not list(best.parent.glob("*.part"))
    encoder, _, _ = load_encoder(best)
    first = next(encoder.parameters())
    torch.testing.assert_close(first, torch.lerp(score.start, score.end, chosen))
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(value, module.encoder.state_dict()[name])
        assert value.shape == begin[name].shape
