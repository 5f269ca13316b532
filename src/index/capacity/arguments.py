"""`key=value` arguments as a dataclass, with every mistake listed at once."""

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from src.contracts.errors import ConfigError

__all__ = ["described", "parse_arguments"]

S = TypeVar("S")


def parse_arguments(words: Sequence[str], kind: type[S]) -> S:
    """Read arguments.

    Args:
        words: `key=value` each; numbers may be written 100e6, lists with commas.
        kind: a dataclass whose fields are of int, float, bool, str, Path, tuple[int, ...], tuple[str, ...] or one of
            these or None; where it has `check`, that is called.

    Raises:
        ConfigError: all that is wrong: unknown or repeated keys, values that are none, required ones not given.
    """
    hints = get_type_hints(kind)
    known: dict[str, Field[Any]] = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    problems = []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in known:
            problems.append(f"`{word}`: not KEY=VALUE with a key of {', '.join(known)}")
        elif key in values:
            problems.append(f"`{word}`: {key} is given twice")
        else:
            try:
                values[key] = _value(text, hints[key])
            except (ValueError, OverflowError):
                problems.append(f"`{word}`: no {_named(hints[key])}")
    required = [name for name, field in known.items() if field.default is MISSING and name not in values]
    if required and not problems:
        problems.append(f"not given: {', '.join(required)}; set each with KEY=VALUE")
    if problems:
        raise ConfigError("; ".join(problems) + "; --help lists all keys")
    made = kind(**values)
    if hasattr(made, "check"):
        made.check()
    return made


def described(kind: type, meanings: dict[str, str]) -> str:
    """One line for each field: key, default, meaning."""
    lines = []
    for field in fields(kind):
        default = "required" if field.default is MISSING else _shown(field.default)
        lines.append(f"  {field.name + '=':<18} {default:<16} {meanings[field.name]}")
    return "\n".join(lines)


def _value(text: str, hint: Any) -> Any:
    options = [option for option in get_args(hint) if option is not Ellipsis] if get_args(hint) else [hint]
    if getattr(hint, "__origin__", None) is tuple:
        return tuple(_value(part, options[0]) for part in text.split(","))
    if type(None) in options:
        return None if text in ("null", "none") else _value(text, next(o for o in options if o is not type(None)))
    if hint is bool:
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _fail()
    if hint is int:
        number = float(text)
        return int(number) if number == int(number) else _fail()
    if hint is float:
        return float(text) if float(text) - float(text) == 0 else _fail()
    return Path(text) if hint is Path else text or _fail()


def _fail() -> Any:
    raise ValueError


def _named(hint: Any) -> str:
    name = getattr(hint, "__name__", str(hint)) if not get_args(hint) else str(hint)
    return {"int": "whole number", "float": "finite number", "bool": "true or false"}.get(name, name)


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )
