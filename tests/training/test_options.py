"""Every optimiser, schedule and callback under conf/ trains, and its run can be continued."""

from pathlib import Path

import pytest
import torch

from src.commandline import CONF, composed, make
from src.contracts.errors import ConfigError
from src.contracts.settings import TrainSettings
from src.training.last_checkpoint import LAST
from src.training.trainer import fit
from tests.training.test_metric_learning import Colours, make_module, make_trainer


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def settings(*overrides: str) -> TrainSettings:
    return composed(TrainSettings, "train", "data=shop", *overrides, "hydra.run.dir=unused")


def check_training(folder: Path, *overrides: str) -> None:
    """Train for two epochs; the last checkpoint gives the same run again, at its end."""
    given = settings(*overrides)

    def module():
        torch.manual_seed(0)
        return make_module(optimizer=make(given.optimizer), scheduler=make(given.scheduler), card={})

    def trainer(name: str):
        callbacks = [make(callback) for callback in given.callbacks.values()]
        return make_trainer(folder / name, more=callbacks)

    first = module()
    before = {name: value.clone() for name, value in first.encoder.named_parameters()}
    fit(trainer("first"), first, Colours(), epochs=2)
    for name, value in first.encoder.named_parameters():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value, before[name]), name
    again = module()
    fit(trainer("again"), again, Colours(), epochs=2, resume=folder / "first" / LAST)
    assert again.trainer.global_step == 20
    for name, value in again.encoder.state_dict().items():
        torch.testing.assert_close(value, first.encoder.state_dict()[name], atol=0, rtol=0)


@pytest.mark.parametrize("name", options("optimizer"))
def test_each_optimiser(name: str, tmp_path: Path) -> None:
    check_training(tmp_path, f"optimizer={name}", "scheduler=constant")


@pytest.mark.parametrize("name", options("scheduler"))
def test_each_schedule(name: str, tmp_path: Path) -> None:
    more = ["scheduler.milestones=[1]"] if name == "multi_step" else []
    check_training(tmp_path, f"scheduler={name}", *more)


@pytest.mark.parametrize("name", options("callbacks"))
def test_each_callback(name: str, tmp_path: Path) -> None:
    check_training(tmp_path, f"callbacks={name}")


def test_a_schedule_needs_its_own_arguments() -> None:
    with pytest.raises(ConfigError, match=r"not given: scheduler\.milestones"):
        settings("scheduler=multi_step")


def test_a_class_that_is_not_there_is_named() -> None:
    given = settings("optimizer._target_=torch.optim.Adamw")
    with pytest.raises(ConfigError, match=r"torch\.optim\.Adamw"):
        make(given.optimizer)


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
