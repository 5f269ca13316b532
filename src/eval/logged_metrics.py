"""The metrics that validation logs: any of torchmetrics' interface, what they may be given, and what they compute."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torchmetrics import Metric

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings.metric import MetricSettings

__all__ = ["FACTS", "accepted", "computed", "direction", "made_metrics", "names_of"]

FACTS = ("vectors", "item_ids", "image_ids", "is_query", "is_gallery", "columns", "slices")
"""What a metric's `update` may ask for; see `RetrievalStates.update`. It gets each by its name."""


def made_metrics(settings: MetricSettings, make: Callable[..., Any]) -> dict[str, Metric]:
    """Make the metrics of the settings.

    Args:
        settings: which they are.
        make: makes an object from a component's settings.

    Raises:
        ConfigError: a class that is no metric, an argument of `update` that validation does not have, one name for two
            values, or a monitored value that is not logged.
    """
    metrics = {name: make(component) for name, component in settings.logged.items()}
    problems = []
    for name, metric in metrics.items():
        at = f"`metric.logged.{name}`: {type(metric).__name__}"
        if not isinstance(metric, Metric):
            problems.append(f"{at} is no torchmetrics.Metric; derive it from that class")
            continue
        foreign = [each for each in _required(metric) if each not in FACTS]
        if foreign:
            problems.append(f"{at}.update asks for {', '.join(foreign)}; validation has {', '.join(FACTS)}")
    if problems:
        raise ConfigError("\n".join(problems))
    logged = [value for name, metric in metrics.items() for value in names_of(name, metric)]
    twice = sorted({value for value in logged if logged.count(value) > 1})
    if twice:
        raise ConfigError(f"`metric.logged`: {', '.join(twice)} would be logged twice; set another `prefix` or name")
    if settings.monitor not in logged:
        all_of_them = ", ".join(logged) or "nothing is, choose with metric=NAME (see conf/metric)"
        raise ConfigError(f"`metric.monitor={settings.monitor}`: must be one that is logged: {all_of_them}")
    return metrics


def names_of(name: str, metric: Metric) -> Sequence[str]:
    """The names of a metric's values: its own, or those in its attribute `names` if it computes a dictionary."""
    names: Sequence[str] = getattr(metric, "names", (name,))
    return names


def direction(metrics: Mapping[str, Metric], settings: MetricSettings) -> str:
    """`max` or `min`, whichever is better of the monitored value.

    Raises:
        ConfigError: neither the settings nor the metric state it, or they contradict each other.
    """
    metric = next(each for name, each in metrics.items() if settings.monitor in names_of(name, each))
    higher = metric.higher_is_better
    stated = None if higher is None else "max" if higher else "min"
    at = f"`metric.monitor={settings.monitor}`: {type(metric).__name__}"
    if settings.mode is None and stated is None:
        raise ConfigError(f"{at} does not state `higher_is_better`; set `metric.mode=max`, or min")
    if settings.mode not in (None, stated) and stated is not None:
        raise ConfigError(
            f"{at} has `higher_is_better={higher}`, against `metric.mode={settings.mode}`; leave that out"
        )
    return settings.mode or stated or ""


def accepted(metric: Metric, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that a metric's `update` has arguments for."""
    parameters = inspect.signature(metric.update).parameters
    if any(each.kind == inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return dict(facts)
    return {name: value for name, value in facts.items() if name in parameters}


def computed(metrics: Mapping[str, Metric]) -> dict[str, float]:
    """The values of all metrics, over all processes, by their names.

    Raises:
        LookalikeError: a metric that does not compute one number for each of its names.
    """
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        value = metric.compute()
        named = value if isinstance(value, dict) else {name: value}
        sizes = {each: torch.as_tensor(number).numel() for each, number in named.items()}
        if set(sizes) != set(names_of(name, metric)) or set(sizes.values()) != {1}:
            raise LookalikeError(
                f"`metric.logged.{name}`: {type(metric).__name__} computed {sizes} (name: numbers); it must compute "
                "one number, or a dictionary of one each with the names in its attribute `names`"
            )
        found |= {each: float(number) for each, number in named.items()}
    return found


def _required(metric: Metric) -> list[str]:
    """Arguments of `update` without a default."""
    empty, several = inspect.Parameter.empty, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(metric.update).parameters.values()
    return [each.name for each in parameters if each.default is empty and each.kind not in several]
