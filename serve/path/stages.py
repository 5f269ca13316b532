"""How long the stages of one request took."""

from serve.observe.metrics import Metrics
from serve.observe.tracing import trace_stage

__all__ = ["Stages"]


class Stages:
    """Keeps the times of one request, and tells the metrics.

    Attributes:
        seconds: work of each stage that was reached, waiting excluded.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.seconds: dict[str, float] = {}

    def record(self, stage: str, *, waited: float | None, worked: float) -> None:
        """Note a stage that has ended.

        Args:
            stage: its name in the metrics.
            waited: seconds until its work began; None where it follows another stage on the same thread.
            worked: seconds that it took then.
        """
        waits, works = self._metrics.stage(stage)
        if waited is not None:
            waits.observe(waited)
        works.observe(worked)
        self.seconds[stage] = worked
        trace_stage(stage, waited=waited or 0.0, worked=worked)

    def milliseconds(self, total: float) -> dict[str, float]:
        """The times as a caller is told them.

        Args:
            total: seconds of the whole.

        Returns:
            Milliseconds of each stage's work, of the `wait` between them, and in `total`.
        """
        waited = max(0.0, total - sum(self.seconds.values()))
        return {
            name: round(1000 * value, 3) for name, value in {**self.seconds, "wait": waited, "total": total}.items()
        }
