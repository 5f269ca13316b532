"""How the values of an attribute are kept in a Milvus collection.

Milvus has strings, booleans, integers and doubles. Dates are kept as days and times as microseconds since 1970, as
`FilterColumns` compares them; smaller numbers are widened. Servers before 2.5 have no nulls: there a null is kept as a
value that meets no condition ("coded"). What the columns mean is a property of the collection, so that they are read as
they were written, also after the server was upgraded.
"""

import datetime
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import TableError

__all__ = ["Attribute", "arrow_schema", "is_keepable"]

_CODED = "; null is coded"
_NO_STRING = "\x00"
"""Stands for null among strings: conditions cannot hold control characters."""
_NO_INTEGER = -(2**63)
_NO_NUMBER = -1.7976931348623157e308
_NO_BOOLEAN = 2
_PLAIN = {str(kind): kind for kind in (
    pa.string(), pa.bool_(), pa.int64(), pa.float64(), pa.float32(), pa.float16(), pa.date32(),
)}  # fmt: skip


def is_keepable(kind: pa.DataType) -> bool:
    """Whether Milvus can keep a column of a type."""
    return str(kind) in _PLAIN or (pa.types.is_timestamp(kind) and kind.unit == "us")


@dataclass(frozen=True)
class Attribute:
    """One column.

    Attributes:
        name: its name.
        type: as callers see it.
        nullable: whether it may be null.
        coded: whether null is kept as a value.
    """

    name: str
    type: pa.DataType
    nullable: bool = True
    coded: bool = False

    @property
    def description(self) -> str:
        """What `described` reads: the type, and whether null is coded."""
        return f"{self.type}{_CODED if self.coded else ''}"

    @classmethod
    def described(cls, name: str, description: str, nullable: bool) -> "Attribute | None":
        """The column of a description; None where it is none of ours."""
        text, coded = description.removesuffix(_CODED), description.endswith(_CODED)
        kind = _PLAIN.get(text)
        if kind is None and text.startswith("timestamp[us"):
            kind = pa.timestamp("us", text.removeprefix("timestamp[us").removesuffix("]").removeprefix(", tz=") or None)
        return None if kind is None else cls(name, kind, nullable or coded, coded)

    @property
    def is_number(self) -> bool:
        """Whether it is kept as a double."""
        return pa.types.is_floating(self.type)

    @property
    def is_integer(self) -> bool:
        """Whether it is kept as an integer: integers, dates and times."""
        return not (self.is_number or pa.types.is_string(self.type) or pa.types.is_boolean(self.type))

    @property
    def null(self) -> Any:
        """What stands for null in the collection."""
        if not self.coded:
            return None
        if pa.types.is_string(self.type):
            return _NO_STRING
        if pa.types.is_boolean(self.type):
            return _NO_BOOLEAN
        return _NO_NUMBER if self.is_number else _NO_INTEGER

    def written(self, column: pa.Array) -> list[Any]:
        """Values as the collection keeps them; NaN, which meets no condition either, becomes null.

        Raises:
            TableError: a string that stands for null in this collection.
        """
        if pa.types.is_date(self.type):
            column = column.view(pa.int32())
        elif pa.types.is_timestamp(self.type):
            column = column.view(pa.int64())
        elif self.is_number:
            column = column.cast(pa.float64())
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        values = column.to_pylist()
        if (self.null in values and self.coded) or (self.is_integer and _NO_INTEGER in values):
            raise TableError(f"column {self.name} holds {self.null or _NO_INTEGER!r}, which Milvus keeps for null")
        if self.coded and pa.types.is_boolean(self.type):
            return [_NO_BOOLEAN if value is None else int(value) for value in values]
        return [self.null if value is None else value for value in values]

    def read(self, value: Any) -> Any:
        """A value of the collection as it was given to `written`."""
        if value is None or (self.coded and value == self.null):
            return None
        if pa.types.is_boolean(self.type):
            return bool(value)
        if pa.types.is_date(self.type):
            return datetime.date(1970, 1, 1) + datetime.timedelta(days=value)
        if pa.types.is_timestamp(self.type):
            zone = datetime.UTC if self.type.tz else None
            return datetime.datetime(1970, 1, 1, tzinfo=zone) + datetime.timedelta(microseconds=value)
        return value

    @property
    def least(self) -> str:
        """The least value that is not null, as a literal, of what is kept as a number."""
        return repr(float.fromhex("-0x1.ffffffffffffep+1023")) if self.is_number else str(_NO_INTEGER + 1)

    def bounds(self, low: Any, high: Any) -> tuple[Any, Any] | None:
        """Bounds, numbers or None, as values of the collection; None where nothing can lie between them."""
        if self.is_number:
            narrow = {pa.float32(): "f", pa.float16(): "e"}.get(self.type)
            return _rounded(low, narrow), _rounded(high, narrow)
        low = None if low is None else math.ceil(low)
        high = None if high is None else math.floor(high)
        if (low is not None and low >= 2**63) or (high is not None and high <= _NO_INTEGER):
            return None
        # Of its integers Milvus reads all but the least.
        return None if low is None else max(low, _NO_INTEGER + 1), None if high is None else min(high, 2**63 - 1)


def _rounded(bound: float | None, narrow: str | None) -> float | None:
    """A bound in the column's own precision, in which `FilterColumns` compares."""
    if bound is None or narrow is None:
        return bound
    with np.errstate(over="ignore"):
        rounded = float(np.dtype(narrow).type(bound))
    # Infinity has no literal; beyond the column's own range any number does.
    return rounded if np.isfinite(rounded) else bound


def arrow_schema(attributes: Iterable[Attribute]) -> pa.Schema:
    """The Arrow schema of some columns."""
    return pa.schema([pa.field(one.name, one.type, one.nullable) for one in attributes])
