"""Convert a manifest's text columns; values that cannot be converted are reported with their rows."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from src.contracts.tables import DOMAINS, SPLITS

__all__ = ["convert_columns"]

_TRUE = frozenset({"1", "true", "yes", "t"})
_FALSE = frozenset({"0", "false", "no", "f"})


def convert_columns(
    table: pa.Table, *, splits: Mapping[str, str], domains: Mapping[str, str]
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Convert the columns of the items schema to their types and values.

    Args:
        table: our column names; the manifest's values.
        splits: the manifest's split value -> ours.
        domains: the manifest's domain value -> ours.

    Returns:
        The table with converted columns, and the values that could not be converted: (row counted from 0, message).
    """
    parsers: dict[str, tuple[pa.DataType, Callable[[Any], Any]]] = {
        "price": (pa.float64(), float),
        "in_stock": (pa.bool_(), _parse_bool),
        "listed_at": (pa.timestamp("us", tz="UTC"), _parse_time),
        "split": (pa.string(), _one_of(SPLITS, splits, "data.splits")),
        "domain": (pa.string(), _one_of(DOMAINS, domains, "data.domains")),
        "is_query": (pa.bool_(), _parse_bool),
        "is_gallery": (pa.bool_(), _parse_bool),
    }
    problems = []
    for name, (kind, parse) in parsers.items():
        if name not in table.column_names or table[name].type == kind != pa.string():
            continue
        values: list[Any] = []
        for row, value in enumerate(table[name].to_pylist()):
            try:
                values.append(None if value is None else parse(value))
            except ValueError as error:
                values.append(None)
                problems.append((row, f"{name}={value!r}: {error}"))
        table = table.set_column(table.column_names.index(name), name, pa.array(values, kind))
    for name in ("image_id", "item_id", "parent_id", "image", "category", "brand", "color"):
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table, problems


def _parse_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("neither true nor false")
    return text in _TRUE


def _parse_time(value: Any) -> datetime:
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _one_of(allowed: tuple[str, ...], mapping: Mapping[str, str], setting: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        mapped = mapping.get(str(value), str(value))
        if mapped not in allowed:
            raise ValueError(f"none of {', '.join(allowed)}; map it with `{setting}.{value}=...`")
        return mapped

    return parse
