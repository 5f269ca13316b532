"""Columns without Arrow's encodings, for which many of its own functions have no implementation."""

import pyarrow as pa

__all__ = ["plain_column", "plain_table"]


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values in a plain type.

    Dictionaries and runs are expanded, extension types become what they are stored as, string and binary views become
    strings and binary, half floats float32. Any other column is returned as it is.
    """
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return pa.chunked_array([[None if value is None else str(value) for value in column.to_pylist()]], pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return plain_column(pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type))
    if pa.types.is_dictionary(kind):
        if not column.num_chunks:
            return plain_column(pa.chunked_array([], kind.value_type))
        expanded = [_plain_array(chunk.dictionary).take(chunk.indices) for chunk in column.chunks]
        return pa.chunked_array(expanded)
    if pa.types.is_run_end_encoded(kind):
        expanded = [pa.array(chunk.to_pylist(), kind.value_type) for chunk in column.chunks]
        return plain_column(pa.chunked_array(expanded, kind.value_type))
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    return column


def plain_table(table: pa.Table) -> pa.Table:
    """All columns as `plain_column` gives them; the same table where they are plain already."""
    columns = [plain_column(column) for column in table.columns]
    if [column.type for column in columns] == table.schema.types:
        return table
    return pa.Table.from_arrays(columns, table.column_names)


def _plain_array(array: pa.Array) -> pa.Array:
    return plain_column(pa.chunked_array([array])).combine_chunks()
