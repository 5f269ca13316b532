"""Filter conditions as Milvus expressions: built from typed values, never from text that a caller wrote."""

import math
from collections.abc import Iterable, Mapping

import pyarrow as pa

from src.contracts.errors import FilterError
from src.index.filters import AnyOf, Between, Condition

__all__ = ["expression", "quoted"]

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def expression(conditions: Iterable[Condition], columns: Mapping[str, pa.DataType]) -> str:
    """An expression that is true where all conditions are met; null meets none.

    Args:
        conditions: of `src.index.filters`.
        columns: the collection's columns and their types.

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


def _one(condition: Condition, columns: Mapping[str, pa.DataType]) -> str:
    name = condition.column
    if name not in columns:
        raise FilterError(f"filter on `{name}`: no such column; there are {', '.join(sorted(columns))}")
    if isinstance(condition, AnyOf):
        return _any_of(name, condition, columns[name])
    return _between(name, condition, columns[name])


def _any_of(name: str, condition: AnyOf, kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        if not all(isinstance(value, bool) for value in condition.values):
            raise FilterError(f"filter on `{name}`: it holds booleans; give True or False")
        return " or ".join(f"{name} == {str(value).lower()}" for value in condition.values) or f"{name} in []"
    if not pa.types.is_string(kind):
        raise FilterError(f"filter on `{name}`: it holds numbers; give a range with Between")
    texts = []
    for value in condition.values:
        if not isinstance(value, str):
            raise FilterError(f"filter on `{name}`: it holds strings, {value!r} is {type(value).__name__}")
        texts.append(value)
    return f"{name} in [{', '.join(quoted(text) for text in sorted(texts))}]"


def _between(name: str, condition: Between, kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind) or pa.types.is_string(kind):
        raise FilterError(f"filter on `{name}`: it holds {kind}, which has no range; use AnyOf")
    parts = []
    for sign, bound in ((">=", condition.low), ("<=", condition.high)):
        if bound is None:
            continue
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise FilterError(f"filter on `{name}`: bound {bound!r} is no finite number")
        # NumPy's floats are floats, and write themselves as np.float64(...).
        parts.append(f"{name} {sign} {(float(bound) if isinstance(bound, float) else int(bound))!r}")
    return " and ".join(parts) or f"{name} is not null"
