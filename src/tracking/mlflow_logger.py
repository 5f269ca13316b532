"""A logger for MLflow with metric names that it accepts."""

from collections.abc import Mapping

from lightning.pytorch.loggers import MLFlowLogger

__all__ = ["MLflowLogger"]


class MLflowLogger(MLFlowLogger):
    """Lightning's logger with `@` replaced in metric names, which MLflow does not accept."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log `NAME@K` as `NAME_at_K`, as MLflow's own retrieval metrics are called."""
        super().log_metrics({name.replace("@", "_at_"): value for name, value in metrics.items()}, step)
