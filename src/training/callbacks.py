"""Make the callbacks of the settings."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import lightning

from src.training.monitor import Monitor

__all__ = ["made_callbacks"]


def made_callbacks(
    callbacks: Mapping[str, Any], *, make: Callable[..., Any], monitor: Monitor
) -> list[lightning.Callback]:
    """Make callbacks; one that is given with `_partial_: true` gets `monitor=` and `mode=`, as Lightning names them.

    Args:
        callbacks: by name, a class and its arguments.
        make: makes an object from a component's settings.
        monitor: the value of validation that steers the training.
    """
    made = [make(callback) for callback in callbacks.values()]
    return [each(monitor=monitor.name, mode=monitor.mode) if isinstance(each, partial) else each for each in made]
