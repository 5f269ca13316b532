"""Every optimiser, schedule and callback under conf/ trains, and its run can be continued."""

import shutil
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from src.commandline import CONF, composed, make
from src.contracts.errors import ConfigError
from src.contracts.settings import TrainSettings
from src.training.callbacks import made_callbacks
from src.training.last_checkpoint import LAST
from src.training.monitor import MONITOR, Monitor
from src.training.rate_finder import RATES
from src.training.trainer import fit
from tests.training.test_metric_learning import Colours, make_module, make_trainer


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def settings(*overrides: str) -> TrainSettings:
    return composed(TrainSettings, "train", "data=shop", *overrides, "hydra.run.dir=unused")


class KeepFirstEpoch(lightning.Callback):
    """Copies last.ckpt as it is after the first epoch."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 1 and trainer.ckpt_path is None:
            folder = Path(trainer.default_root_dir)
            shutil.copy(folder / LAST, folder / "first_epoch.ckpt")


def check_training(folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    """Train for two epochs; the checkpoint after the first one gives the same second one again."""
    given = settings(*overrides)

    def module():
        torch.manual_seed(0)
        return make_module(optimizer=make(given.optimizer), scheduler=make(given.scheduler), card={})

    def trainer(name: str):
        callbacks = made_callbacks(given.callbacks, make=make, monitor=MONITOR)
        return make_trainer(folder / name, more=[*callbacks, KeepFirstEpoch()])

    first = module()
    before = {name: value.clone() for name, value in first.encoder.named_parameters()}
    fit(trainer("first"), first, Colours(), epochs=2)
    for name, value in first.encoder.named_parameters():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value, before[name]), name
    again = module()
    fit(trainer("again"), again, Colours(), epochs=2, resume=folder / "first" / "first_epoch.ckpt")
    assert again.trainer.global_step == 20
    for name, value in again.encoder.state_dict().items():
        torch.testing.assert_close(value, first.encoder.state_dict()[name], atol=0, rtol=0)
    return first.encoder.state_dict()


@pytest.mark.parametrize("name", options("optimizer"))
def test_each_optimiser(name: str, tmp_path: Path) -> None:
    check_training(tmp_path, f"optimizer={name}", "scheduler=constant")


@pytest.mark.parametrize("name", options("scheduler"))
def test_each_schedule(name: str, tmp_path: Path) -> None:
    more = ["scheduler.milestones=[1]"] if name == "multi_step" else []
    check_training(tmp_path, f"scheduler={name}", *more)


# `pictures` draws what a catalogue has: tests/integration/test_pipeline.py.
@pytest.mark.parametrize("name", sorted({*options("callbacks")} - {"pictures"}))
def test_each_callback(name: str, tmp_path: Path) -> None:
    check_training(tmp_path, f"callbacks={name}")


def test_a_schedule_needs_its_own_arguments() -> None:
    with pytest.raises(ConfigError, match=r"not given: scheduler\.milestones"):
        settings("scheduler=multi_step")


def test_a_class_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"torch\.optim\.Adamw"):
        settings("optimizer._target_=torch.optim.Adamw")


def test_a_callback_without_a_class_is_named() -> None:
    with pytest.raises(ConfigError, match=r"`callbacks\.mine=.*`: names no class; set `callbacks\.mine\._target_`"):
        settings("+callbacks.mine.every=2")


def test_the_profiler_leaves_a_table_and_a_short_run_is_short(tmp_path: Path) -> None:
    for name in ("profiler", "short"):
        given = composed(
            TrainSettings, "train", "data=shop", f"debug={name}", f"hydra.runtime.output_dir={tmp_path / name}"
        )
        trainer = make_trainer(tmp_path / name, epochs=1, arguments=make(given.trainer.lightning))
        fit(trainer, make_module(), Colours(), epochs=1)
        assert trainer.limit_train_batches == {"profiler": 50, "short": 10}[name]
    assert "run_training_epoch" in (tmp_path / "profiler" / "fit-profile.txt").read_text()


def test_the_search_for_a_rate_suggests_one_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="src.training.rate_finder")
    searched = check_training(tmp_path / "searched", "callbacks=lr_finder")
    plain = check_training(tmp_path / "plain")
    for name, value in plain.items():
        torch.testing.assert_close(searched[name], value, atol=0, rtol=0)
    lines = (tmp_path / "searched" / "first" / RATES).read_text().split()
    # The test goes beyond the twenty steps of the run, until the loss diverges.
    assert lines[0] == "rate,loss"
    assert 20 < len(lines) <= 101
    assert "the loss falls most steeply at optim.lr=" in caplog.text
    assert not (tmp_path / "searched" / "again" / RATES).exists()
    assert {path.suffix for path in (tmp_path / "searched" / "first").iterdir()} == {".ckpt", ".csv", ""}


def test_early_stopping_takes_the_place_of_ours(tmp_path: Path) -> None:
    given = settings("callbacks=early_stopping", "callbacks.early_stopping.stopping_threshold=0.05")
    callbacks = made_callbacks(given.callbacks, make=make, monitor=Monitor("val/recall@1", "max"))
    trainer = make_trainer(tmp_path, epochs=9, more=callbacks)
    assert [each for each in trainer.callbacks if isinstance(each, EarlyStopping)] == callbacks
    fit(trainer, make_module(), Colours(), epochs=9)
    # It logs a tenth of the epoch's number: 0.1 after the second.
    assert trainer.current_epoch == 2


def test_two_averages_of_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`optim\.ema=0\.9` with callbacks=ema: two averages"):
        settings("callbacks=ema", "optim.ema=0.9")
