"""Convert a manifest's columns to the types of ours; values that cannot be converted are reported with their rows."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from src.catalog.box_column import CORNERS, read_boxes
from src.contracts.numbers import read_number
from src.contracts.plain_columns import plain_column
from src.contracts.tables import DOMAINS, ITEMS, SPLITS
from src.contracts.text_columns import text_column

__all__ = ["convert_columns"]

_TRUE = frozenset({"1", "true", "yes", "t"})
_FALSE = frozenset({"0", "false", "no", "f"})
_NO_ROLE = frozenset({"none", "null", "nan", "na", "<na>"})
_TIME = pa.timestamp("us", tz="UTC")

Problems = list[tuple[int, str]]


def convert_columns(
    table: pa.Table, *, splits: Mapping[str, str], domains: Mapping[str, str], decimal: str = "."
) -> tuple[pa.Table, Problems]:
    """Convert the columns of the items schema to their types and values.

    A value is missing, and becomes null, where it is null, NaN, NaT, empty or blank. Further columns are kept.

    Args:
        table: our column names; the manifest's values, of any type.
        splits: the manifest's split value -> ours.
        domains: the manifest's domain value -> ours.
        decimal: the decimal sign of prices and boxes that are text.

    Returns:
        The table with converted columns, and with `box` in the place of open-metric-learning's corners (`read_boxes`);
        and the values that could not be converted: (row counted from 0, message).

    Raises:
        ValueError: a column's type has no meaning as an id or a name, or a box's column is missing.
    """
    names = {field.name for field in ITEMS if pa.types.is_string(field.type)} | {"split"}
    problems: Problems = []
    columns: dict[str, pa.ChunkedArray] = {}
    for name in table.column_names:
        column, bad = table[name], Problems()
        if name in names:
            column, bad = _text(name, column)
        if name == "split":
            column, bad = _parsed(column, pa.string(), _one_of(SPLITS, splits, "data.splits"))
        elif name == "domain":
            column, bad = _parsed(column, pa.string(), _one_of(DOMAINS, domains, "data.domains"))
        elif name == "price":
            column, bad = _prices(plain_column(column), decimal)
        elif name == "listed_at":
            column, bad = _times(plain_column(column))
        elif name == "in_stock":
            column, bad = _parsed(plain_column(column), pa.bool_(), _parse_bool)
        elif name in ("is_query", "is_gallery"):
            column, bad = _parsed(plain_column(column), pa.bool_(), _parse_role)
        columns[name] = column
        problems += [(row, f"{name}={what}") for row, what in bad]
    boxes, bad = read_boxes(table, decimal=decimal)
    if boxes is not None:
        columns = {name: column for name, column in columns.items() if name not in CORNERS} | {"box": boxes}
    return pa.table(columns), problems + bad


def _text(name: str, column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Problems]:
    try:
        return text_column(column, is_id=name.endswith("_id") or name == "image")
    except ValueError as error:
        raise ValueError(f"column {name!r} {error}") from error


def _parsed(
    column: pa.ChunkedArray, kind: pa.DataType, parse: Callable[[Any], Any]
) -> tuple[pa.ChunkedArray, Problems]:
    """Each value as `parse` reads it; it raises ValueError."""
    if column.type == kind != pa.string():
        return column, []
    values: list[Any] = []
    problems = []
    for row, value in enumerate(column.to_pylist()):
        parsed = None
        # Not equal to itself: NaN.
        if value is not None and value == value and str(value).strip():
            try:
                parsed = parse(value)
            except ValueError as error:
                problems.append((row, f"{value!r}: {error}"))
        values.append(parsed)
    return pa.chunked_array([pa.array(values, kind)]), problems


def _prices(column: pa.ChunkedArray, decimal: str) -> tuple[pa.ChunkedArray, Problems]:
    kind = column.type
    problems: Problems = []
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.float64(), safe=False)
    else:
        column, problems = _parsed(column, pa.float64(), lambda value: _parse_price(value, decimal))
    numbers = column.to_numpy()  # NaN where it is null
    wrong = np.isinf(numbers) | (numbers < 0)
    problems += [
        (int(row), f"{numbers[row]}: must be finite and not below 0; leave it empty where it is not known")
        for row in np.flatnonzero(wrong)
    ]
    return pa.chunked_array([pa.array(numbers, pa.float64(), mask=wrong | np.isnan(numbers))]), problems


def _times(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Problems]:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        # Nanoseconds are cut off; what has no zone is UTC.
        return column.cast(_TIME, safe=not (pa.types.is_timestamp(column.type) and column.type.unit == "ns")), []
    return _parsed(column, _TIME, _parse_time)


def _parse_price(value: Any, decimal: str) -> float:
    try:
        return read_number(str(value).strip(), decimal=decimal)
    except ValueError as error:
        hint = "; `data.csv.decimal=comma` reads decimal commas" if decimal == "." and "," in str(value) else ""
        raise ValueError(f"{error}{hint}") from None


def _parse_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        try:
            number = read_number(text)
        except ValueError:
            number = -1
        if number not in (0, 1):
            raise ValueError("neither true nor false")
        return number == 1
    return text in _TRUE


def _parse_role(value: Any) -> bool | None:
    return None if str(value).strip().lower() in _NO_ROLE else _parse_bool(value)


def _parse_time(value: Any) -> datetime:
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _one_of(allowed: tuple[str, ...], mapping: Mapping[str, str], setting: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        mapped = mapping.get(str(value), str(value))
        if mapped not in allowed:
            raise ValueError(f"none of {', '.join(allowed)}; map it with `{setting}.{value}=...`")
        return mapped

    return parse
