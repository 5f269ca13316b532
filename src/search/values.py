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
    """Count a column's values, except null, NaN and infinity; of equally frequent ones the smaller first."""
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())  # `select_k_unstable` of half floats ends the process (pyarrow 26)
    column = column.filter(pc.is_finite(column)) if pa.types.is_floating(column.type) else column.drop_null()
    values, images = pc.value_counts(column).flatten()
    values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    counted = pa.table({"value": values, "images": images})
    order = [("images", "descending"), ("value", "ascending")]
    first = counted.take(pc.select_k_unstable(counted, k=_MOST, sort_keys=order)).to_pylist()
    return ColumnValues([(_text(pair["value"]), pair["images"]) for pair in first], len(counted))


def price_range(prices: pa.ChunkedArray) -> tuple[float, float] | None:
    """The lowest and the highest finite value; None where there is none."""
    span = pc.min_max(prices.filter(pc.is_finite(prices))).as_py()
    return None if span["min"] is None else (span["min"], span["max"])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
