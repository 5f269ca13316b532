"""Report a training's metric to its sweep's study after each validation, and stop where the trial is pruned."""

import logging
from pathlib import Path

import lightning
from lightning.pytorch.trainer.states import TrainerFn

from src.sweeps.trial_file import PRUNED_AT, TrialFile, read_trial

__all__ = ["StudyReport", "study_reports"]

log = logging.getLogger(__name__)


def study_reports(folder: Path) -> list[lightning.Callback]:
    """The callback of a run that belongs to a sweep's trial; none for other runs.

    Args:
        folder: the run's.
    """
    trial = read_trial(folder)
    return [] if trial is None else [StudyReport(trial)]


class StudyReport(lightning.Callback):
    """Reports `val/METRIC` by epoch. A pruned run ends normally: its best checkpoint is evaluated and kept."""

    def __init__(self, trial: TrialFile) -> None:
        super().__init__()
        # Only runs of a sweep need Optuna.
        import optuna

        from src.sweeps.study import NAME, load_pruner, storage_of

        self._metric = trial.metric
        pruner = load_pruner(trial.pruner, trial.pruner_options)
        study = optuna.load_study(study_name=NAME, storage=storage_of(Path(trial.sweep)), pruner=pruner)
        self._trial = optuna.trial.Trial(study, trial.trial_id)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report the metric, and stop training where the pruner says so."""
        value = trainer.callback_metrics.get(f"val/{self._metric}")
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING or value is None:
            return
        prune = False
        if trainer.is_global_zero:
            epoch = trainer.current_epoch + 1
            # A trial that was killed has reported the epochs behind its last checkpoint already.
            if epoch not in self._reported():
                self._trial.report(float(value), epoch)
            # Pruning after the last epoch would save nothing.
            prune = epoch != trainer.max_epochs and self._trial.should_prune()
            if prune:
                self._trial.set_user_attr(PRUNED_AT, epoch)
                log.info("pruned after epoch %d: %s %.4f", epoch, self._metric, float(value))
        # All processes must stop together.
        trainer.should_stop = trainer.should_stop or bool(trainer.strategy.broadcast(prune))

    def _reported(self) -> dict[int, float]:
        return self._trial.storage.get_trial(self._trial._trial_id).intermediate_values
