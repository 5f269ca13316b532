"""Passwords and keys have no place in settings: those are written beside a run and sent to its trackers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["secret_problems"]

_ADDRESS_WITH_PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@", re.IGNORECASE)
_NAMES = frozenset({"api_key", "apikey", "access_key", "password", "passwd", "secret", "secret_key", "token"})


def secret_problems(values: Any, path: str = "") -> list[str]:
    """A line for each value that is a secret: an address with a password in it, or a key of such a name.

    Args:
        values: settings as plain values.
        path: where they stand.
    """
    if isinstance(values, Mapping):
        problems = []
        for name, value in values.items():
            where = f"{path}.{name}" if path else str(name)
            if str(name).lower() in _NAMES and isinstance(value, str) and value:
                problems.append(f"`{where}`: settings are written down and logged; {_REMEDY}")
            else:
                problems += secret_problems(value, where)
        return problems
    if isinstance(values, str):
        found = _ADDRESS_WITH_PASSWORD.match(values)
        return [f"`{path}`: an address with a password in it would be written down and logged; {_REMEDY}"] * bool(found)
    if isinstance(values, Sequence):
        return [problem for at, value in enumerate(values) for problem in secret_problems(value, f"{path}[{at}]")]
    return []


_REMEDY = "give it in the environment (WANDB_API_KEY, MLFLOW_TRACKING_PASSWORD, AWS_SECRET_ACCESS_KEY, ...)"
