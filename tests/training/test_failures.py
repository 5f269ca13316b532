"""Training that cannot go on says what to change, and leaves the last good checkpoint."""

import signal
from collections.abc import Iterator
from pathlib import Path

import lightning
import pytest
import torch
from torch import Tensor

from src.contracts.errors import LookalikeError
from src.training.failures import explained_failures
from src.training.last_checkpoint import LAST
from src.training.trainer import fit
from tests.training.test_metric_learning import Colours, make_module, make_trainer


def test_numbers_that_are_not_finite_end_training_before_they_are_saved(tmp_path: Path) -> None:
    """A learning rate that throws the weights out of what float32 can hold."""
    module = make_module()
    module._lr = module._backbone_lr = 1e30
    trainer = make_trainer(tmp_path, checkpoint_every=1)
    with pytest.raises(LookalikeError, match=r"not finite at step \d+, epoch 1: lower `optim\.lr`") as caught:
        fit(trainer, module, Colours(), epochs=2)
    kept = torch.load(tmp_path / LAST, weights_only=True)
    assert kept["global_step"] == trainer.global_step - 1
    assert f"{tmp_path / LAST} is kept" in str(caught.value)
    assert f"hydra.run.dir={tmp_path} trainer.resume=true" in str(caught.value)


class Greedy(lightning.Callback):
    """Asks the allocator for more than any machine has, at the third step."""

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: object) -> Tensor | None:
        return torch.empty(2**60, dtype=torch.uint8) if trainer.global_step == 2 else None


def test_memory_that_runs_out_is_named_with_what_to_change(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, checkpoint_every=1)
    trainer.callbacks.append(Greedy())
    with pytest.raises(LookalikeError, match=r"out of memory: .*trainer\.chunk=32.*lower `data\.p`") as caught:
        fit(trainer, make_module(), Colours(), epochs=2)
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == 2
    assert f"{tmp_path / LAST} is kept" in str(caught.value)


def test_a_gpu_without_memory_is_named_alike_and_other_errors_are_left_alone(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    with (
        pytest.raises(LookalikeError, match=r"out of memory: .*no checkpoint was written yet"),
        explained_failures(trainer),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore follows.")
    with pytest.raises(RuntimeError, match="a bug"), explained_failures(trainer):
        raise RuntimeError("a bug")


class CtrlC(lightning.Callback):
    """The signal that a terminal sends."""

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: object) -> None:
        if trainer.global_step == 3:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt; a shell's background jobs begin with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_with_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make_trainer(tmp_path, checkpoint_every=1)
    trainer.callbacks.append(CtrlC())
    with pytest.raises(SystemExit) as caught:
        fit(trainer, make_module(), Colours(), epochs=2)
    assert caught.value.code == 130
    said = capsys.readouterr().out
    assert f"interrupted at step 3; {tmp_path / LAST} is kept" in said
    assert "trainer.resume=true continues" in said
