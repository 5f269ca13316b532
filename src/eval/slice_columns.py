"""Divide a column into slices: one for each string, bands of numbers, old and new dates."""

import logging
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import ConfigError
from src.contracts.plain_columns import plain_column
from src.eval.per_query import about_queries

__all__ = ["default_columns", "slice_values"]

log = logging.getLogger(__name__)

_MOST = 200
"""Most values of a column of strings that is sliced."""

_BANDS = 4
_OWN = ("image_id", "item_id", "product", "parent_id", "image", "box")
_RESULTS = ("result_image_ids", "result_item_ids", "result_scores", "result_grades")
_MICROSECONDS = {"D": 86_400e6, "s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_YEARS = (-62_135_596_800_000_000, 253_402_300_799_000_000)
"""Microseconds from 1970 to the years 1 and 9999."""

_POSITIVES = ((1, "1"), (2, "2 to 4"), (5, "5 to 9"), (10, "10 or more"))


def default_columns(table: pa.Table) -> list[str]:
    """Columns that can be sliced: `positives`, and the catalogue's with 2 to 200 values, or with numbers or dates.

    Columns of types that cannot be sliced are named in one line of the log.

    Args:
        table: of `per_query_table`.
    """
    left_out = {*_OWN, *_RESULTS, *about_queries(table)["metrics"]}
    columns, skipped = [], []
    for name in table.column_names:
        if name in left_out:
            continue
        column = _prepared(table[name])
        if not _is_sliceable(column.type):
            skipped.append(f"{name} ({table[name].type})")
            continue
        if _is_number(column.type):
            column = column.cast(pa.float64(), safe=False)
        values = len(pc.unique(column.drop_null()))
        if values > 1 and (values <= _MOST or _is_number(column.type) or pa.types.is_temporal(column.type)):
            columns.append(name)
    if skipped:
        log.info("no slices by columns of types that have none: %s", ", ".join(skipped))
    return columns


def slice_values(column: pa.ChunkedArray, name: str) -> tuple[list[str], np.ndarray]:
    """Divide a column into slices.

    Numbers with more than ten values are divided into quarters of the queries, dates at their median, and `positives`
    at 2, 5 and 10; any other column has a slice for each value. Nulls and NaN are in no slice. Integers beyond 2**53
    are taken for names.

    Args:
        column: strings, booleans, numbers, dates or timestamps.
        name: its name.

    Returns:
        The names of the slices, and the slice of each row: int64 of shape (rows,), -1 where there is none.

    Raises:
        ConfigError: the column is of another type, or has more than 200 values that are neither numbers nor dates.
    """
    column, given = _prepared(column), column.type
    if not _is_sliceable(column.type):
        raise ConfigError(f"`slices`: column {name} holds {given}; give columns of plain values")
    if pa.types.is_temporal(column.type):
        return _dates(column)
    if _is_number(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
        if name == "positives":
            codes = np.searchsorted([start for start, _ in _POSITIVES], numbers, side="right") - 1
            return _kept([word for _, word in _POSITIVES], codes)
        distinct = np.unique(numbers[np.isfinite(numbers)])
        if len(distinct) > 10:
            return _quarters(numbers)
        codes = np.searchsorted(distinct, numbers)
        return _labels(distinct), np.where(np.isfinite(numbers), codes, -1)
    encoded = pc.cast(column, pa.string()).combine_chunks().dictionary_encode()
    if len(encoded.dictionary) > _MOST:
        raise ConfigError(f"`slices`: column {name} has {len(encoded.dictionary)} values; slices need at most {_MOST}")
    words = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(words, kind="stable") if words else np.empty(0, np.int64)
    places = np.empty(len(words) + 1, np.int64)
    places[order], places[-1] = np.arange(len(words)), -1
    return [words[place] for place in order], places[codes]


def _prepared(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A plain column; integers that float64 does not tell apart, most likely hashes or ids, as strings."""
    column = plain_column(column)
    if pa.types.is_integer(column.type):
        ends = pc.min_max(column).as_py()
        if ends["min"] is not None and max(-ends["min"], ends["max"]) > 2**53:
            return column.cast(pa.string())
    return column


def _is_sliceable(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    date = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return text or date or _is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _quarters(numbers: np.ndarray) -> tuple[list[str], np.ndarray]:
    known = np.isfinite(numbers)
    edges = np.unique(np.quantile(numbers[known], np.arange(1, _BANDS) / _BANDS))
    codes = np.where(known, np.searchsorted(edges, np.where(known, numbers, 0.0), side="left"), -1)
    shown = _labels(edges)
    words = [f"up to {shown[0]}", *(f"above {low}, up to {high}" for low, high in pairwise(shown))]
    return _kept([*words, f"above {shown[-1]}"], codes)


def _labels(numbers: np.ndarray) -> list[str]:
    """Different numbers in six digits, or in all of them where six do not tell them apart."""
    short = [f"{value:.6g}" for value in numbers]
    return short if len(set(short)) == len(short) else [repr(float(value)) for value in numbers]


def _dates(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    # As float64, since microseconds of a distant year do not fit into 64 bits.
    numbers = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64()).cast(pa.float64(), safe=False)
    unit = column.type.unit if pa.types.is_timestamp(column.type) else "ms" if pa.types.is_date64(column.type) else "D"
    numbers = numbers.to_numpy() * _MICROSECONDS[unit]
    known = np.isfinite(numbers)
    if not known.any():
        return [], np.full(len(numbers), -1)
    middle = np.quantile(numbers[known], 0.5, method="higher")
    day = str(np.datetime64(int(np.clip(middle, *_YEARS)), "us"))[:10]
    codes = np.where(known, (numbers >= middle).astype(np.int64), -1)
    return _kept([f"old (before {day})", f"new ({day} or later)"], codes)


def _kept(words: list[str], codes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Drop empty slices."""
    used = [code for code in range(len(words)) if (codes == code).any()]
    places = np.full(len(words) + 1, -1)
    places[used] = np.arange(len(used))
    return [words[code] for code in used], places[codes]
