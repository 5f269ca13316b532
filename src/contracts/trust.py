"""Packages whose code a checkpoint may name: those of `trust=[PACKAGE]`, and those that the user's own config names."""

from collections.abc import Mapping
from typing import Any

from src.contracts.errors import LookalikeError

__all__ = ["check_trusted", "trust"]

_TRUSTED: set[str] = set()


def trust(package: str) -> None:
    """Let checkpoints name classes of a package, in this process."""
    _TRUSTED.add(package)


def check_trusted(component: Any, *, where: str) -> None:
    """Refuse a component whose class lies in a package that is not trusted: importing and making it runs its code.

    Args:
        component: from a file: a name, or a dictionary with `_target_`; only an import path needs trust.
        where: the setting that named the file, for the message.

    Raises:
        LookalikeError: the package is not trusted.
    """
    path = str(component.get("_target_", "")) if isinstance(component, Mapping) else ""
    if "." not in path or any(path.startswith(f"{package}.") for package in _TRUSTED):
        return
    raise LookalikeError(
        f"{where}: it is made with {path}, and loading it would run that package's code; if you trust it, set "
        f"`trust=[{path.split('.')[0]}]`"
    )
