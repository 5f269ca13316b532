"""Collecting what cannot work, so that all of it is reported at once."""

import difflib
from collections.abc import Iterable, Mapping

from src.contracts.errors import ConfigError

__all__ = ["below", "did_you_mean", "raise_all"]


def below(settings: object, prefix: str, smallest: Mapping[str, int]) -> list[str]:
    dot = "." if prefix else ""
    return [
        f"`{prefix}{dot}{name}={getattr(settings, name)}`: must be at least {least}"
        for name, least in smallest.items()
        if getattr(settings, name) < least
    ]


def raise_all(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Goes on after what is not there: the nearest of the names that are, or a full stop."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else "."
