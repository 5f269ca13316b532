"""Arguments of Lightning's trainer that the settings pass on."""

from pathlib import Path

import lightning
import pytest
import torch

from src.contracts.errors import ConfigError, LookalikeError
from src.training.failures import StopWhenNotFinite
from src.training.last_checkpoint import LastCheckpoint
from src.training.monitor import Monitor
from src.training.trainer import BEST, fit
from tests.training.test_metric_learning import Colours, make_module, make_trainer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epochs": 3}, r"`trainer\.lightning\.max_epochs=3`: set `trainer\.epochs` instead"),
        ({"limit_val_batches": 1}, r"`trainer\.lightning\.limit_val_batches=1`: the metrics need all images"),
        ({"max_step": 1}, r"`trainer\.lightning\.max_step=1`: lightning\.Trainer has no such argument; .*max_steps"),
        ({"limit_train_batches": "x"}, r"`trainer\.lightning=\{'limit_train_batches': 'x'\}`"),
        ({"profiler": "slow"}, r"`trainer\.lightning=\{'profiler': 'slow'\}`"),
    ],
)
def test_arguments_that_cannot_work_are_named(arguments: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        make_trainer(tmp_path, arguments=arguments)


def test_steps_are_limited_and_accumulated(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, epochs=5, arguments={"max_steps": 10, "accumulate_grad_batches": 2})
    assert fit(trainer, make_module(), Colours(), epochs=5) == tmp_path / BEST
    # Ten batches are an epoch.
    assert (trainer.global_step, trainer.current_epoch) == (10, 2)


class RisingError(lightning.Callback):
    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        pl_module.log("val/error", float(trainer.current_epoch))


def test_the_lowest_value_is_the_best_where_the_monitor_says_so(tmp_path: Path) -> None:
    monitor = Monitor("val/error", "min")
    trainer = make_trainer(tmp_path, more=[RisingError()], epochs=9, patience=2, monitor=monitor)
    best = fit(trainer, make_module(monitor=monitor), Colours(), epochs=9)
    assert torch.load(best, weights_only=True)["epoch"] == 0
    assert trainer.current_epoch == 3


def test_one_batch_of_each_keeps_nothing(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, arguments={"fast_dev_run": True})
    assert fit(trainer, make_module(), Colours(), epochs=2) is None
    assert trainer.global_step == 1
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"])
@pytest.mark.filterwarnings("ignore:.*fp16 is not supported on CPU.*")
def test_precisions_of_lightning_train(precision: str, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, epochs=1, precision=precision)
    assert fit(trainer, make_module(), Colours(), epochs=1) == tmp_path / BEST


def test_a_checkpoint_never_lies_within_an_accumulated_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []

    def save(_: LastCheckpoint, trainer) -> None:
        saved.append((trainer.global_step, trainer.fit_loop.epoch_loop.batch_progress.current.completed))

    monkeypatch.setattr(LastCheckpoint, "_save", save)
    trainer = make_trainer(tmp_path, epochs=1, checkpoint_every=2, arguments={"accumulate_grad_batches": 2})
    fit(trainer, make_module(), Colours(), epochs=1)
    # Ten batches are five steps; the last one is saved with the epoch.
    assert [step for step, _ in saved] == [2, 4, 5]


@pytest.mark.parametrize("scaled", [True, False])
def test_a_gradient_that_overflows_ends_a_run_unless_its_scale_is_being_found(scaled: bool, tmp_path: Path) -> None:
    trainer, module = make_trainer(tmp_path), make_module()
    trainer.precision_plugin.scaler = object() if scaled else None
    module.gradient_norm = torch.tensor(float("inf"))

    def step(loss: float) -> None:
        StopWhenNotFinite(every=1).on_train_batch_end(trainer, module, {"loss": torch.tensor(loss)})

    if scaled:
        step(1.0)
    with pytest.raises(LookalikeError, match="loss or gradient is not finite"):
        step(float("nan") if scaled else 1.0)
