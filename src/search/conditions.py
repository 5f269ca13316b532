"""Filters as a request gives them, a column's name and texts, read by the column's type."""

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from src.contracts.errors import FilterError
from src.contracts.numbers import read_number
from src.index.coded_strings import is_string
from src.index.filters import AnyOf, Between, Bound, Condition

__all__ = ["read_condition"]

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def read_condition(column: str, kind: pa.DataType, texts: Sequence[str]) -> Condition:
    """Read a filter.

    Strings and booleans (`true`, `false`, `1`, `0`) take any number of values, of which a row must have one. Numbers,
    dates and times (ISO 8601) take one `VALUE` or one range `LOW..HIGH`, both ends included; either end may be left
    open.

    Args:
        column: its name.
        kind: its type, one that `FilterColumns` takes.
        texts: what is asked of it, at least one.

    Raises:
        FilterError: names the column, the value and the rule.
    """
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not texts:
        raise FilterError(f"filter on `{column}`: no value; give at least one")
    if is_string(kind):
        return AnyOf(column, frozenset(texts))
    if pa.types.is_boolean(kind):
        return AnyOf(column, frozenset(_boolean(column, text) for text in texts))
    if len(texts) > 1:
        raise FilterError(f"filter on `{column}`: {len(texts)} values; give one VALUE or one range LOW..HIGH")
    return _between(column, texts[0], _reader(kind))


Read = Callable[[str, str], Any]


def _between(column: str, text: str, read: Read) -> Between:
    low, dots, high = (part.strip() for part in text.partition(".."))
    if not dots:
        value = read(column, low)
        return Between(column, value, value)
    if not low and not high:
        raise FilterError(f"filter on `{column}`: {text!r} has neither end; give LOW..HIGH, LOW.. or ..HIGH")
    bounds: list[Bound | None] = [read(column, part) if part else None for part in (low, high)]
    if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:  # type: ignore[operator]
        raise FilterError(f"filter on `{column}`: in {text!r} the low end is above the high end; exchange them")
    return Between(column, *bounds)


def _reader(kind: pa.DataType) -> Read:
    if pa.types.is_date(kind):
        return _date
    if pa.types.is_timestamp(kind):
        return _aware_time if kind.tz else _naive_time
    return _number


def _boolean(column: str, text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise FilterError(f"filter on `{column}`: {text!r} must be one of {', '.join(_BOOLEANS)}")
    return _BOOLEANS[text.lower()]


def _number(column: str, text: str) -> int | float:
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)  # Which float64 would round from 2**53 on.
    try:
        return read_number(text)
    except ValueError as error:
        raise FilterError(f"filter on `{column}`: {text!r} {error}, or a range of them, such as 5..20") from None


def _date(column: str, text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise FilterError(f"filter on `{column}`: {text!r} must be a date in ISO 8601, such as 2026-01-31") from None


def _aware_time(column: str, text: str) -> datetime.datetime:
    found = _time(text)
    if found is None or found.tzinfo is None:
        raise FilterError(
            f"filter on `{column}`: {text!r} must be a time in ISO 8601 with a time zone, such as 2026-01-31T18:00Z"
        )
    return found


def _naive_time(column: str, text: str) -> datetime.datetime:
    found = _time(text)
    if found is None or found.tzinfo is not None:
        raise FilterError(
            f"filter on `{column}`: {text!r} must be a time in ISO 8601 without a time zone, such as 2026-01-31T18:00"
        )
    return found


def _time(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
