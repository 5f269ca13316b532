"""Log the results of a finished training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from src.catalog.catalogue import Catalogue
from src.eval.evaluation import Evaluation
from src.tracking.artifacts import checkpoint_artifact
from src.tracking.run_file import WandbRun, write_run

__all__ = ["log_result"]

_QUERIES = 24


@rank_zero_only
def log_result(
    loggers: Sequence[Logger],
    folder: Path,
    *,
    card: Mapping[str, Any],
    checkpoint: Path,
    catalogue: Catalogue,
    evaluation: Evaluation,
    metrics: Mapping[str, float | int],
) -> None:
    """Log the best checkpoint's metrics as `best/NAME`; at Weights & Biases also the hardest queries and the file.

    Args:
        loggers: of the run; the CSV logger is skipped, since metrics.json has the same values.
        folder: the run's folder, in which `tracking.json` is written.
        card: the checkpoint's.
        checkpoint: the best.
        catalogue: where the images are.
        evaluation: of the best checkpoint, on the validation split.
        metrics: of `evaluation`, with their intervals.
    """
    best = {f"best/{name}": float(value) for name, value in metrics.items()}
    for logger in loggers:
        if isinstance(logger, CSVLogger):
            continue
        logger.log_metrics(best)
        if isinstance(logger, WandbLogger) and not logger.experiment.disabled:
            from src.tracking.hardest_queries import hardest_queries  # brings wandb

            run = logger.experiment
            run.log({"hardest_queries": hardest_queries(catalogue, evaluation, _QUERIES)})
            run.log_artifact(checkpoint_artifact(run.id, checkpoint, card), aliases=["best"])
            identity = WandbRun(run.id, run.project, run.entity or None, str(run.name), run.group, run.offline)
            write_run(folder, identity)
