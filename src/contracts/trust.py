"""What a checkpoint may name: classes of the packages of `trust=[PACKAGE]`, and those that the user's config names."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from src.contracts.errors import ConfigError, LookalikeError

__all__ = ["check_trusted", "import_trusted", "trust"]

_TRUSTED: set[str] = set()


def trust(path: str) -> None:
    """Let checkpoints name a class, or the classes of a package, in this process."""
    _TRUSTED.add(path)


def import_trusted(packages: Sequence[str]) -> None:
    """Import packages, which may register parts of their own, and let checkpoints name their classes.

    Raises:
        ConfigError: one cannot be imported.
    """
    for package in packages:
        trust(package)
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigError(
                f"`trust=[{package}]`: cannot be imported ({error}); install it, or put its folder on PYTHONPATH"
            ) from error


def check_trusted(component: Any, *, where: str) -> None:
    """Refuse a component whose class is not trusted: importing and making it runs its code.

    Args:
        component: from a file: a name, or a dictionary with `_target_`; only an import path needs trust.
        where: the setting that named the file, for the message.

    Raises:
        LookalikeError: neither the class nor its package is trusted.
    """
    path = str(component.get("_target_", "")) if isinstance(component, Mapping) else ""
    if "." not in path or any(path == known or path.startswith(f"{known}.") for known in _TRUSTED):
        return
    raise LookalikeError(
        f"{where}: it is made with {path}, and loading it would run that package's code; if you trust it, set "
        f"`trust=[{path.split('.')[0]}]`"
    )
