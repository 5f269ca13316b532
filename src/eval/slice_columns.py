"""Divide a column into slices: one for each string, bands of numbers, old and new dates."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import ConfigError
from src.eval.per_query import about_queries

__all__ = ["default_columns", "slice_values"]

_MOST = 200
"""Most values of a column of strings that is sliced."""

_BANDS = 4
_OWN = ("image_id", "item_id", "product", "parent_id", "image")
_POSITIVES = ((1, "1"), (2, "2 to 4"), (5, "5 to 9"), (10, "10 or more"))


def default_columns(table: pa.Table) -> list[str]:
    """Columns that can be sliced: `positives`, and the catalogue's with 2 to 200 values, or with numbers or dates.

    Args:
        table: of `per_query_table`.
    """
    left_out = {*_OWN, *about_queries(table)["metrics"]}
    columns = []
    for field in table.schema:
        if field.name in left_out or pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            continue
        values = len(pc.unique(table[field.name].drop_null()))
        if values > 1 and (values <= _MOST or _is_number(field.type) or pa.types.is_temporal(field.type)):
            columns.append(field.name)
    return columns


def slice_values(column: pa.ChunkedArray, name: str) -> tuple[list[str], np.ndarray]:
    """Divide a column into slices.

    Numbers with more than ten values are divided into quarters of the queries, dates at their median, and `positives`
    at 2, 5 and 10; any other column has a slice for each value. Nulls and NaN are in no slice.

    Args:
        column: of any type that is not nested.
        name: its name.

    Returns:
        The names of the slices, and the slice of each row: int64 of shape (rows,), -1 where there is none.

    Raises:
        ConfigError: the column is nested, or has more than 200 values that are neither numbers nor dates.
    """
    if pa.types.is_nested(column.type):
        raise ConfigError(f"`slices`: column {name} holds {column.type}; give columns of plain values")
    if pa.types.is_temporal(column.type) and not pa.types.is_duration(column.type):
        return _dates(column)
    if _is_number(column.type):
        numbers = pc.cast(column, pa.float64()).to_numpy()
        if name == "positives":
            codes = np.searchsorted([start for start, _ in _POSITIVES], numbers, side="right") - 1
            return _kept([word for _, word in _POSITIVES], codes)
        distinct = np.unique(numbers[np.isfinite(numbers)])
        if len(distinct) > 10:
            return _quarters(numbers)
        codes = np.searchsorted(distinct, numbers)
        return [f"{value:g}" for value in distinct], np.where(np.isfinite(numbers), codes, -1)
    encoded = pc.cast(column, pa.string()).combine_chunks().dictionary_encode()
    if len(encoded.dictionary) > _MOST:
        raise ConfigError(f"`slices`: column {name} has {len(encoded.dictionary)} values; slices need at most {_MOST}")
    words = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(words, kind="stable") if words else np.empty(0, np.int64)
    places = np.empty(len(words) + 1, np.int64)
    places[order], places[-1] = np.arange(len(words)), -1
    return [words[place] for place in order], places[codes]


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _quarters(numbers: np.ndarray) -> tuple[list[str], np.ndarray]:
    known = np.isfinite(numbers)
    edges = np.unique(np.quantile(numbers[known], np.arange(1, _BANDS) / _BANDS))
    codes = np.where(known, np.searchsorted(edges, np.where(known, numbers, 0.0), side="left"), -1)
    words = [f"up to {edges[0]:.6g}"]
    words += [f"above {low:.6g}, up to {high:.6g}" for low, high in pairwise(edges)]
    return _kept([*words, f"above {edges[-1]:.6g}"], codes)


def _dates(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    numbers = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64()).to_numpy().astype(np.float64)
    known = np.isfinite(numbers)
    if not known.any():
        return [], np.full(len(numbers), -1)
    middle = np.quantile(numbers[known], 0.5, method="higher")
    day = str(np.datetime64(int(middle), "us"))[:10]
    codes = np.where(known, (numbers >= middle).astype(np.int64), -1)
    return _kept([f"old (before {day})", f"new ({day} or later)"], codes)


def _kept(words: list[str], codes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Drop empty slices."""
    used = [code for code in range(len(words)) if (codes == code).any()]
    places = np.full(len(words) + 1, -1)
    places[used] = np.arange(len(used))
    return [words[code] for code in used], places[codes]
