"""Ids and names of any type as strings; what is missing, in whichever way, is null."""

import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.plain_columns import plain_column

__all__ = ["text_column"]

_EXACT = 2**53
"""From here on float64 does not hold all whole numbers."""


def text_column(column: pa.ChunkedArray, *, is_id: bool) -> tuple[pa.ChunkedArray, list[tuple[int, str]]]:
    """Read a column as strings.

    Null, NaN, NaT, the empty string and blanks are null. Whole numbers are written without a point, whatever their
    type: pandas makes floats of integers where one is missing. Binary is read as UTF-8.

    Args:
        column: of any type.
        is_id: ids must be strings or whole numbers; names may be of each type that has a text.

    Returns:
        Strings, and the values that cannot be read: (row counted from 0, what is wrong). Their rows are null.

    Raises:
        ValueError: the type has no text; the message continues "column ... ".
    """
    plain = plain_column(column)
    kind, bad = plain.type, list[tuple[int, str]]()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        plain, bad = _numbers(plain, is_id=is_id)
    elif is_id and not (pa.types.is_integer(kind) or pa.types.is_null(kind) or _is_text(kind)):
        raise ValueError(f"holds {column.type}; ids are strings or whole numbers: convert it")
    try:
        text = plain.cast(pa.large_string())
    except pa.ArrowException as error:
        raise ValueError(f"holds {column.type}, which cannot be read as text ({error}); convert it") from error
    blank = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(text)), 0)
    return pc.if_else(pc.fill_null(blank, True), pa.scalar(None, text.type), text).cast(pa.string()), bad


def _is_text(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return bool(text or binary)


def _numbers(column: pa.ChunkedArray, *, is_id: bool) -> tuple[pa.ChunkedArray, list[tuple[int, str]]]:
    texts: list[str | None] = []
    bad = []
    for row, value in enumerate(column.to_pylist()):
        if value is None or value != value:
            texts.append(None)
            continue
        finite = value - value == 0
        inexact = finite and isinstance(value, float) and abs(value) > _EXACT
        if finite and value == int(value) and not inexact:
            texts.append(str(int(value)))
            continue
        texts.append(None if is_id else str(value))
        if is_id:
            why = "digits are lost in float64" if inexact else "not a whole number"
            bad.append((row, f"{value}: {why}; store ids as strings"))
    return pa.chunked_array([pa.array(texts, pa.large_string())]), bad
