"""The epoch after which a training pauses."""

import pytest
import torch

from src.contracts.settings import TrainerSettings
from src.contracts.settings.trainer import trainer_problems
from src.training.interpolation import SHARE
from src.training.pause import pause_epoch
from src.training.trainer import fit
from tests.training.test_metric_learning import Colours, make_module, make_trainer


@pytest.mark.parametrize(
    ("share", "epochs", "validate_every", "epoch"),
    [
        (0.01, 10, 1, 1),
        (0.2, 10, 1, 2),
        (0.7, 10, 1, 7),
        (0.5, 5, 1, 3),
        (0.2, 10, 3, 3),
        (0.9, 10, 4, 10),
        (1, 3, 1, 3),
    ],
)
def test_the_share_is_rounded_up_to_an_epoch_that_is_validated(share, epochs, validate_every, epoch) -> None:
    assert pause_epoch(share, epochs=epochs, validate_every=validate_every) == epoch


@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
def test_the_average_with_the_start_is_left_to_the_end(tmp_path) -> None:
    for share, averaged in ((0.5, False), (1.0, True)):
        module = make_module(interpolate=[0.5])
        trainer = make_trainer(tmp_path, epochs=2, pause_at=share)
        last = tmp_path / "checkpoints" / "last.ckpt"
        best = fit(trainer, module, Colours(), epochs=2, resume=last if last.is_file() else None)
        assert (SHARE in torch.load(best, weights_only=True)) == averaged


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_other_shares_are_refused(share: float) -> None:
    (problem,) = trainer_problems(TrainerSettings(epochs=2, pause_at=share))
    assert problem == f"`trainer.pause_at={share}`: must be above 0 and at most 1"
