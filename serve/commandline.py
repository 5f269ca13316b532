"""Settings from the command line, the environment and `.env`: the first that names one counts."""

import argparse
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from serve.settings import ServeSettings
from src.contracts.errors import ConfigError

__all__ = ["PREFIX", "read_settings"]

PREFIX = "LOOKALIKE_"

_EPILOG = f"""\
Each option may also be set as an environment variable, {PREFIX}MAX_IN_FLIGHT=64 for --max-in-flight 64, or as such a
line in `.env`. The command line wins over the environment, and the environment over `.env`.

example:
  python -m serve --bundle outputs/bundle --port 8000
  curl -F image=@photo.jpg 'http://127.0.0.1:8000/v1/search?k=5&category=shoes&price_max=80'

The page is at /, the API's description at /openapi.json, the metrics at /metrics.
Exit codes: 0 after SIGTERM or SIGINT, 2 for what you can mend (stderr says what), 1 for a bug of ours.
"""

_RULES = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
}


class _Sources(ServeSettings, BaseSettings):
    """The same fields, looked up where an operator sets them."""

    # `ignore` is for variables that are not ours: what has our prefix and is no setting is refused below.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix=PREFIX, env_file=".env")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def read_settings(arguments: Sequence[str] | None = None) -> ServeSettings:
    """Read all settings.

    Args:
        arguments: the command line; None takes the process's own.

    Raises:
        ConfigError: everything that is wrong, each with its value, its rule and how to mend it.
        SystemExit: after --help, or for an option that does not exist.
    """
    given = vars(_parser().parse_args(arguments))
    problems = _unknown_variables()
    try:
        settings = _Sources(**given)
    except ValidationError as error:
        problems += [_told(found, given) for found in error.errors(include_url=False)]
    if problems:
        raise ConfigError("; ".join(problems))
    return settings


def _parser() -> _Parser:
    parser = _Parser(
        prog="serve",
        usage="python -m serve --bundle DIR [options]",
        description="Serve one bundle: search by photo, similar items, and a page to try both.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for name, field in ServeSettings.model_fields.items():
        if not _is_secret(field):
            # Values are checked with those of the environment, so that one message has all that is wrong.
            parser.add_argument(_option(name), metavar=_metavar(field), help=_help(field).replace("%", "%%"))
    return parser


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _help(field: FieldInfo) -> str:
    default = field.default
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    return f"{field.description}" if default is None else f"{field.description} (default: {shown})"


def _metavar(field: FieldInfo) -> str:
    if field.annotation in (int, float):
        return "N"
    return "PATH" if field.annotation in (Path, Path | None) else "VALUE"


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation in (SecretStr, SecretStr | None)


def _told(found: ErrorDetails, given: Mapping[str, Any]) -> str:
    """One problem: where the value stands, the value, the rule."""
    name = str(found["loc"][0])
    field = ServeSettings.model_fields[name]
    value = "***" if _is_secret(field) else found["input"]
    place = f"{_option(name)} {value}" if name in given else f"{PREFIX}{name.upper()}={value}"
    context = found.get("ctx", {})
    rule = _RULES.get(found["type"], "").format(**context) or str(context.get("error", found["msg"]))
    return f"`{place}`: {rule}"


def _unknown_variables() -> list[str]:
    """Variables with our prefix that set nothing: a typo would otherwise leave a limit at its default."""
    known = {f"{PREFIX}{name.upper()}" for name in ServeSettings.model_fields}
    named = {name.upper() for name in (*os.environ, *dotenv_values(".env")) if name.upper().startswith(PREFIX)}
    problems = []
    for name in sorted(named - known):
        close = get_close_matches(name, known, n=1)
        problems.append(
            f"`{name}` is no setting; " + (f"did you mean {close[0]}?" if close else "unset it, or see --help")
        )
    return problems
