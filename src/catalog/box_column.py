"""The part of each picture that shows the item: the column `box`, or open-metric-learning's four columns of corners."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from src.contracts.numbers import read_number

__all__ = ["CORNERS", "read_boxes", "write_box"]

CORNERS = ("x_1", "y_1", "x_2", "y_2")
"""Left, upper, right and lower edge, in pixels; a picture without a box has none of them."""

_FIELDS = ("x", "y", "w", "h")
_BOX = pa.list_(pa.float64(), 4)
_BRACKETS = "[](){} \t"


def read_boxes(table: pa.Table, *, decimal: str = ".") -> tuple[pa.ChunkedArray | None, list[tuple[int, str]]]:
    """Read the boxes of a table, in pixels of the upright picture.

    Args:
        table: with `box` (x, y, width, height: a list, a struct of x, y, w, h, or text such as `10,20,300,400`), or
            with the columns `CORNERS`.
        decimal: the decimal sign in text.

    Returns:
        x, y, width and height of each row as a list of four, null for all of the picture, or None where the table has
        no such column; and what cannot be read: (row counted from 0, what is wrong).

    Raises:
        ValueError: only some of the columns of corners are there.
    """
    corners = [name for name in CORNERS if name in table.column_names]
    if "box" in table.column_names:
        rows: Sequence[Any] = table["box"].to_pylist()
        read = _read_box
    elif not corners:
        return None, []
    elif len(corners) < len(CORNERS):
        raise ValueError(f"boxes take the columns {', '.join(CORNERS)}; of these there is only {', '.join(corners)}")
    else:
        rows = list(zip(*(table[name].to_pylist() for name in CORNERS), strict=True))
        read = _read_corners
    boxes: list[list[float] | None] = []
    problems = []
    for row, value in enumerate(rows):
        box = None
        try:
            box = read(value, decimal)
        except ValueError as error:
            shown = value if "box" in table.column_names else dict(zip(CORNERS, value, strict=True))
            problems.append((row, f"box={shown!r}: {error}"))
        boxes.append(box)
    return pa.chunked_array([pa.array(boxes, _BOX)]), problems


def write_box(box: Sequence[float]) -> str:
    """A box in a key: `x,y,w,h`."""
    return ",".join(f"{value:.10g}" for value in box)


def _read_box(value: Any, decimal: str) -> list[float] | None:
    if isinstance(value, dict):
        if {*value} != {*_FIELDS}:
            raise ValueError(f"a struct must have the fields {', '.join(_FIELDS)}")
        value = [value[name] for name in _FIELDS]
        if all(map(_is_missing, value)):
            return None
    if isinstance(value, str):
        text = value.strip(_BRACKETS)
        value = [part for part in re.split(r"[;\s]+" if decimal == "," else r"[,;\s]+", text) if part]
        if not text:
            return None
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("must be four numbers x, y, width, height, in pixels")
    x, y, width, height = (_number(part, decimal) for part in value)
    return _checked(x, y, width, height)


def _read_corners(value: Sequence[Any], decimal: str) -> list[float] | None:
    missing = [name for name, corner in zip(CORNERS, value, strict=True) if _is_missing(corner)]
    if len(missing) == len(CORNERS):
        return None
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing; give all four edges, or none")
    left, top, right, bottom = (_number(corner, decimal) for corner in value)
    return _checked(left, top, right - left, bottom - top)


def _checked(x: float, y: float, width: float, height: float) -> list[float]:
    if min(width, height) <= 0:
        raise ValueError(f"has no area: it is {width:g} wide and {height:g} high")
    if min(x, y) < 0:
        raise ValueError("begins outside of the picture; edges count from 0 at the left and at the top")
    return [x, y, width, height]


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _number(value: Any, decimal: str) -> float:
    if isinstance(value, str):
        return read_number(value.strip(), decimal=decimal)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise ValueError(f"{value} is no finite number; all four must be")
    return float(value)
