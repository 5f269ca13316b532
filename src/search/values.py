"""The values that a filter may ask for."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ColumnValues", "column_values", "price_range"]

_MOST = 200


class ColumnValues(NamedTuple):
    """The values of a column.

    Attributes:
        counts: values as `read_condition` reads them, with the images that have them; most frequent first, cut at 200.
        distinct: how many different values there are.
    """

    counts: list[tuple[str, int]]
    distinct: int


def column_values(column: pa.ChunkedArray) -> ColumnValues:
    """Count a column's values, nulls left out; equally frequent ones in alphabetical order."""
    counted = pc.value_counts(column.drop_null())
    pairs = [(_text(pair["values"]), int(pair["counts"])) for pair in counted.to_pylist()]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return ColumnValues(pairs[:_MOST], len(pairs))


def price_range(prices: pa.ChunkedArray) -> tuple[float, float] | None:
    """The lowest and the highest finite value; None where there is none."""
    span = pc.min_max(prices.filter(pc.is_finite(prices))).as_py()
    return None if span["min"] is None else (span["min"], span["max"])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
