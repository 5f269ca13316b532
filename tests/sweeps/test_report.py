"""A training that reports to its study after each validation, and stops in order when it is pruned."""

from pathlib import Path

import lightning
import optuna
import pytest
import torch
from optuna.distributions import IntDistribution
from torch.utils.data import DataLoader

from src.contracts.settings.sweep import SweepSettings
from src.sweeps.report import study_reports
from src.sweeps.study import open_study
from src.sweeps.trial_file import PRUNED_AT, TrialFile, write_trial

EPOCHS = 4


class Scripted(lightning.LightningModule):
    """Its recall by epoch is given."""

    def __init__(self, recalls: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.recalls = recalls

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return (self.weight * batch).sum()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/recall@1", self.recalls[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return open_study(tmp_path, SweepSettings(), {"data.k": IntDistribution(1, 9)}, [])


def train(study: optuna.Study, tmp_path: Path, recalls: list[float]) -> tuple[int, dict[int, float], int | None]:
    """Epochs trained, what the study knows, and when it was pruned."""
    trial = study.ask({"data.k": IntDistribution(1, 9)})
    folder = tmp_path / str(trial.number)
    write_trial(folder, TrialFile(str(tmp_path), trial._trial_id, "recall@1", "median", {"n_startup_trials": 2}))
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=study_reports(folder),
        num_sanity_val_steps=1,
    )
    loader = DataLoader(torch.ones(2))
    trainer.fit(Scripted(recalls), loader, loader)
    trainer.validate(Scripted([0.0] * 9), loader, verbose=False)
    known = study.get_trials()[trial.number]
    pruned = known.user_attrs.get(PRUNED_AT)
    state = optuna.trial.TrialState.COMPLETE if pruned is None else optuna.trial.TrialState.PRUNED
    study.tell(trial, recalls[-1] if pruned is None else None, state=state)
    return trainer.current_epoch, known.intermediate_values, pruned


def test_a_trial_behind_the_median_stops_and_others_do_not(study: optuna.Study, tmp_path: Path) -> None:
    for recalls in ([0.2, 0.4, 0.5, 0.6], [0.3, 0.5, 0.6, 0.7]):
        assert train(study, tmp_path, recalls) == (EPOCHS, pytest.approx(dict(enumerate(recalls, start=1))), None)
    # The first epoch is not judged; in the second it is below the median.
    assert train(study, tmp_path, [0.1, 0.2, 0.9, 0.9]) == (2, pytest.approx({1: 0.1, 2: 0.2}), 2)
    assert train(study, tmp_path, [0.3, 0.5, 0.7, 0.8])[2] is None
    # Behind after the last epoch: there is nothing left to save.
    assert train(study, tmp_path, [0.3, 0.5, 0.7, 0.1])[2] is None


def test_a_run_outside_of_a_sweep_reports_to_nobody(tmp_path: Path) -> None:
    assert study_reports(tmp_path) == []


def test_epochs_that_were_reported_before_a_kill_are_not_reported_again(study: optuna.Study, tmp_path: Path) -> None:
    killed = study.ask({"data.k": IntDistribution(1, 9)})
    killed.report(0.2, 1)
    study = open_study(tmp_path, SweepSettings(), {"data.k": IntDistribution(1, 9)}, [])
    # Optuna warns of a second report of one epoch, and warnings are errors here.
    assert train(study, tmp_path, [0.2, 0.4, 0.5, 0.6])[1] == pytest.approx({1: 0.2, 2: 0.4, 3: 0.5, 4: 0.6})
