"""A column of each of Arrow's types, made with the factory functions of `pyarrow`."""

import datetime
import decimal

import numpy as np
import pyarrow as pa

__all__ = ["every_column"]


def every_column(rows: int) -> dict[str, pa.Array]:
    """Columns by the name of their type; each has a null in its second row, where its type can have one."""
    n = np.arange(rows)
    columns: dict[str, pa.Array] = {"null": pa.nulls(rows)}

    def put(kind: pa.DataType, values: list) -> None:
        columns[str(kind)] = pa.array([None if row == 1 else value for row, value in enumerate(values)], kind)

    put(pa.bool_(), [bool(row % 2) for row in n])
    for bits in (8, 16, 32, 64):
        for sign, make in (("int", f"int{bits}"), ("uint", f"uint{bits}")):
            top = 2 ** (bits - (sign == "int")) - 1
            step = 2**40 if bits == 64 else 1
            put(getattr(pa, make)(), [top - step * int(row) for row in n])
    for make in ("float16", "float32", "float64"):
        put(getattr(pa, make)(), [float(row) / 4 if row != 2 else float("nan") for row in n])
    for make, digits in (("decimal32", 9), ("decimal64", 18), ("decimal128", 38), ("decimal256", 76)):
        for scale in (0, 2):
            put(getattr(pa, make)(digits, scale), [decimal.Decimal(int(row)).scaleb(-scale) for row in n])
    for unit in ("s", "ms"):
        put(pa.time32(unit), [datetime.time(int(row) % 24, 1) for row in n])
    for unit in ("us", "ns"):
        columns[str(pa.time64(unit))] = pa.array(n * 1_000_000_001 % 86_400_000_000, pa.time64(unit))
    for unit in ("s", "ms", "us", "ns"):
        columns[str(pa.duration(unit))] = pa.array(n * 1_000_000_007, pa.duration(unit))
        for zone in (None, "UTC", "Europe/Berlin"):
            columns[str(pa.timestamp(unit, zone))] = pa.array(n * 1_000_000_007, pa.timestamp(unit, zone))
    put(pa.date32(), [datetime.date(2026, 1, 1) + datetime.timedelta(int(row)) for row in n])
    put(pa.date64(), [datetime.date(2026, 1, 1) + datetime.timedelta(int(row)) for row in n])
    put(pa.month_day_nano_interval(), [pa.MonthDayNano([1, int(row), 1]) for row in n])
    words = [f"word {row % 5}" for row in n]
    for make in ("string", "large_string", "string_view"):
        put(getattr(pa, make)(), words)
    for make in ("binary", "large_binary", "binary_view"):
        put(getattr(pa, make)(), [b"\xff%d" % (row % 5) for row in n])
    put(pa.binary(2), [b"\xff%d" % (row % 5) for row in n])
    lists = [[int(row), 2] for row in n]
    for make in ("list_", "large_list", "list_view", "large_list_view"):
        put(getattr(pa, make)(pa.int64()), lists)
    put(pa.list_(pa.int64(), 2), lists)
    put(pa.struct([("x", pa.int64())]), [{"x": int(row)} for row in n])
    put(pa.map_(pa.string(), pa.int64()), [[("x", int(row))] for row in n])
    types = pa.array(n % 2, pa.int8())
    children = [pa.array(n), pa.array(words)]
    columns["dense_union"] = pa.UnionArray.from_dense(types, pa.array(n, pa.int32()), children)
    columns["sparse_union"] = pa.UnionArray.from_sparse(types, children)
    for name in ("string", "large_string", "double", "decimal128(38, 2)", "timestamp[ns]", "binary", "bool", "int64"):
        values = columns[name].slice(0, min(rows, 5))
        columns[f"dictionary of {name}"] = pa.DictionaryArray.from_arrays(pa.array(n % len(values), pa.int32()), values)
    columns["dictionary of string_view"] = pa.DictionaryArray.from_arrays(
        pa.array(n % 2, pa.int8()), pa.array(["a", "b"], pa.string_view())
    )
    for name in ("string", "int64", "double"):
        values = columns[name]
        columns[f"runs of {name}"] = pa.RunEndEncodedArray.from_arrays(pa.array(n + 1, pa.int32()), values)
    columns["bool8"] = pa.ExtensionArray.from_storage(pa.bool8(), pa.array(n % 2, pa.int8()))
    columns["uuid"] = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"%016d" % row for row in n], pa.binary(16)))
    columns["json"] = pa.ExtensionArray.from_storage(pa.json_(), pa.array([f'{{"x": {row % 5}}}' for row in n]))
    columns["opaque"] = pa.ExtensionArray.from_storage(pa.opaque(pa.int64(), "x", "y"), pa.array(n))
    columns["tensor"] = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[1, 2]] * rows, pa.list_(pa.float32(), 2))
    )
    return columns
