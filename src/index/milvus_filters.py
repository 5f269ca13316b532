"""Filter conditions as Milvus expressions: built from typed values, never from text that a caller wrote."""

import datetime
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from src.contracts.errors import FilterError
from src.index.filters import AnyOf, Between, Condition
from src.index.milvus_columns import Attribute

__all__ = ["NOTHING", "expression", "quoted"]

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
NOTHING = "image_id in []"
"""Met by no row."""


def expression(conditions: Iterable[Condition], columns: Mapping[str, Attribute]) -> str:
    """An expression that is true where all conditions are met; null and NaN meet none.

    Args:
        conditions: of `src.index.filters`.
        columns: the collection's.

    Raises:
        FilterError: an unknown column, or a value that does not suit its type.
    """
    return " and ".join(f"({_one(condition, columns)})" for condition in conditions)


def quoted(text: str) -> str:
    """A string as a literal of the expression language.

    Raises:
        FilterError: it holds control characters, for which the language has no literal.
    """
    literal = "".join(_ESCAPES.get(character, character) for character in text)
    if any(ord(character) < 32 or ord(character) == 127 for character in literal):
        raise FilterError(f"filter value {text!r} holds control characters, which Milvus has no literal for")
    return f'"{literal}"'


def _one(condition: Condition, columns: Mapping[str, Attribute]) -> str:
    name = condition.column
    if name not in columns:
        raise FilterError(f"filter on `{name}`: no such column; there are {', '.join(sorted(columns))}")
    if isinstance(condition, AnyOf):
        return _any_of(condition, columns[name])
    return _between(condition, columns[name])


def _any_of(condition: AnyOf, column: Attribute) -> str:
    name = column.name
    if pa.types.is_boolean(column.type):
        if not all(isinstance(value, bool) for value in condition.values):
            raise FilterError(f"filter on `{name}`: it holds booleans; give True or False")
        literals = [str(int(value)) if column.coded else str(value).lower() for value in condition.values]
        return " or ".join(f"{name} == {literal}" for literal in sorted(literals)) or NOTHING
    if not pa.types.is_string(column.type):
        raise FilterError(f"filter on `{name}`: it holds numbers; give a range with Between")
    texts = []
    for value in condition.values:
        if not isinstance(value, str):
            raise FilterError(f"filter on `{name}`: it holds strings, {value!r} is {type(value).__name__}")
        texts.append(value)
    return f"{name} in [{', '.join(quoted(text) for text in sorted(texts))}]" if texts else NOTHING


def _between(condition: Between, column: Attribute) -> str:
    name = column.name
    if pa.types.is_boolean(column.type) or pa.types.is_string(column.type):
        raise FilterError(f"filter on `{name}`: it holds {column.type}, which has no range; use AnyOf")
    read = [None if bound is None else _bound(column, bound) for bound in (condition.low, condition.high)]
    bounds = column.bounds(*read)
    if bounds is None:
        return NOTHING
    # NumPy's floats are floats, and write themselves as np.float64(...).
    literal = float if column.is_number else int
    parts = [
        f"{name} {sign} {literal(bound)!r}"
        for sign, bound in zip((">=", "<="), bounds, strict=True)
        if bound is not None
    ]
    if bounds[0] is None and (column.coded or not column.nullable):
        parts.insert(0, f"{name} >= {column.least}")
    return " and ".join(parts) or f"{name} is not null"


def _bound(column: Attribute, bound: Any) -> float | int:
    name, kind = column.name, column.type
    if pa.types.is_date(kind):
        if not isinstance(bound, datetime.date) or isinstance(bound, datetime.datetime):
            raise FilterError(f"filter on `{name}`: it holds dates, {bound!r} is {type(bound).__name__}")
        return (bound - datetime.date(1970, 1, 1)).days
    if pa.types.is_timestamp(kind):
        if not isinstance(bound, datetime.datetime):
            raise FilterError(f"filter on `{name}`: it holds times, {bound!r} is {type(bound).__name__}, no datetime")
        if (bound.tzinfo is not None) != (kind.tz is not None):
            fix = "give it a time zone" if kind.tz else "leave its time zone out"
            raise FilterError(f"filter on `{name}`: it holds {kind}, {bound!r} does not compare; {fix}")
        epoch = datetime.datetime(1970, 1, 1, tzinfo=bound.tzinfo and datetime.UTC)
        return (bound - epoch) // datetime.timedelta(microseconds=1)
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
        raise FilterError(f"filter on `{name}`: bound {bound!r} is no finite number")
    return bound
