"""Collecting what cannot work, so that all of it is reported at once."""

from collections.abc import Mapping

from src.contracts.errors import ConfigError

__all__ = ["below", "raise_all"]


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
