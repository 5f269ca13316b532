"""Modules of one's own, which a config names by `_target_`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings.component import component_class
from src.contracts.trust import trust

__all__ = ["arguments_of", "make_module", "own_class"]


def arguments_of(component: Mapping[str, Any]) -> dict[str, Any]:
    """A component without the name of its class."""
    return {name: value for name, value in component.items() if name != "_target_"}


def own_class(component: Mapping[str, Any], *, setting: str) -> Any:
    """Import the class that a component names, and trust it.

    What a file names was checked before (`check_trusted`); what a config names is the user's own choice, and the
    checkpoint that the run writes may be opened in this process.

    Raises:
        ConfigError: it names none, or none that can be imported.
    """
    if not component.get("_target_"):
        raise ConfigError(f"`{setting}={dict(component)}`: names no class; set `{setting}._target_`")
    try:
        found = component_class(component)
    except ConfigError as error:
        raise ConfigError(f"`{setting}`: {error}") from error
    trust(str(component["_target_"]))
    return found


def make_module(kind: Any, arguments: Mapping[str, Any], *, setting: str) -> nn.Module:
    """Make a module of plain arguments.

    Raises:
        ConfigError: it does not take the arguments, or is no `torch.nn.Module`.
    """
    name = getattr(kind, "__name__", kind)
    try:
        made = kind(**arguments)
    except LookalikeError:
        raise
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"`{setting}`: {name} with {dict(arguments)}: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"`{setting}`: {name} makes a {type(made).__name__}; it must make a torch.nn.Module")
    return made
