"""A class of a config: `_target_` and its arguments, as Hydra instantiates them."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from src.contracts.errors import ConfigError
from src.contracts.settings._problems import did_you_mean
from src.contracts.settings.class_source import read_class

__all__ = ["Component", "class_name", "component_class", "component_problems"]

Component = dict[str, Any]

_NUMBERS = {"int": "a whole number", "float": "a number"}


def class_name(component: Mapping[str, Any]) -> str:
    """The bare name of a component's class; empty if it names none."""
    return str(component.get("_target_", "")).rsplit(".", 1)[-1]


def component_class(component: Mapping[str, Any]) -> Any:
    """Import the class, or the function, that a component names in `_target_`.

    Raises:
        ConfigError: there is no such module or class.
    """
    path = str(component["_target_"])
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(_not_importable(path, error)) from error


def component_problems(where: str, component: Any) -> list[str]:
    """Classes that are not there and arguments that they do not take, a line each, those inside a component included.

    Sources are read, nothing is imported: what a source does not tell is no problem here.

    Args:
        where: key of the component in the config.
        component: its settings.
    """
    return list(_problems(where, component))


def _problems(where: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str):
            yield from _own_problems(where, value)
        for key, part in value.items():
            yield from _problems(f"{where}.{key}", part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _problems(where, part)


def _own_problems(where: str, component: Mapping[str, Any]) -> Iterator[str]:
    path = component["_target_"]
    if "." not in path:
        yield f"`{where}._target_={path}`: names no module; write it as package.module.{path or 'Class'}"
        return
    try:
        source = read_class(path)
    except ImportError as error:
        yield f"`{where}`: {_not_importable(path, error)}"
        return
    if source is None or source.arguments is None:
        return
    takes = source.arguments
    for name, value in component.items():
        if str(name).startswith("_"):
            continue
        if name not in takes:  # Its value stays unsaid: it may be a secret.
            yield (
                f"`{where}.{name}`: {class_name(component)} takes no {name}{did_you_mean(str(name), takes)}"
                f" It takes {', '.join(takes) or 'nothing'}"
            )
        elif takes[name] in _NUMBERS and not isinstance(value, int | float):
            yield f"`{where}.{name}={value}`: must be {_NUMBERS[takes[name]]}"


def _not_importable(path: str, error: Exception) -> str:
    return (
        f"`_target_={path}`: cannot be imported ({error}); name a class of an installed package, or of one whose "
        "folder is on PYTHONPATH"
    )
