"""Settings of what validation measures while training, and which of it chooses."""

from dataclasses import dataclass, field

from src.contracts.settings.component import Component, class_name, component_problems

__all__ = ["MetricSettings", "metric_problems"]

_ITEM = "src.eval.retrieval_metric.RetrievalMetrics"


@dataclass
class MetricSettings:
    """What is measured on the validation split, and which value of it chooses.

    Attributes:
        logged: by name, metrics of torchmetrics' interface, each a class and its arguments; logged as `val/NAME`, or as
            the names that the metric itself has for several values.
        monitor: the value, without `val/`, that chooses the checkpoint, ends training and steps a plateau schedule.
        mode: `max` where a larger value of it is better, `min` where a smaller one is; null takes the metric's own
            `higher_is_better`.
    """

    logged: Component = field(default_factory=dict)
    monitor: str = "recall@1"
    mode: str | None = None

    @property
    def is_default(self) -> bool:
        """Whether Recall@1 of items chooses, as it did before there was a choice."""
        logged = self.logged.get("retrieval", {})
        plain = logged.get("_target_") == _ITEM and set(logged) <= {"_target_", "names"}
        return plain and self.monitor == "recall@1"


def metric_problems(metric: MetricSettings) -> list[str]:
    """What cannot work, a line each."""
    problems = [
        f"`metric.logged.{name}={value}`: names no class; set `metric.logged.{name}._target_`"
        for name, value in metric.logged.items()
        if not (isinstance(value, dict) and class_name(value))
    ]
    problems += component_problems("metric.logged", metric.logged)
    if metric.mode not in (None, "max", "min"):
        problems.append(f"`metric.mode={metric.mode}`: must be max, min, or null for what the metric itself states")
    return problems
