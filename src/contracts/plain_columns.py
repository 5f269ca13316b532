"""Columns without Arrow's encodings, for which many of its own functions have no implementation."""

import pyarrow as pa

__all__ = ["plain_column", "plain_table"]


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values in a plain type.

    Dictionaries and runs are expanded, extension types become what they are stored as, string and binary views become
    strings and binary (inside of lists and structs as well), half floats float32. Any other column stays as it is.
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
    if pa.types.is_nested(kind):
        plain = _plain_type(kind)
        return column if plain == kind else pa.chunked_array([pa.array(column.to_pylist(), plain)])
    return column.cast(_plain_type(kind))


def plain_table(table: pa.Table) -> pa.Table:
    """All columns as `plain_column` gives them; the same table where they are plain already."""
    columns = [plain_column(column) for column in table.columns]
    if [column.type for column in columns] == table.schema.types:
        return table
    return pa.Table.from_arrays(columns, table.column_names)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """A type without views and runs."""
    if pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        values = _plain_type(kind.value_type)
        if values == kind.value_type:
            return kind
        if pa.types.is_fixed_size_list(kind):
            return pa.list_(values, kind.list_size)
        return pa.large_list(values)
    changed = {pa.float16(): pa.float32(), pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    return changed.get(kind, kind)


def _plain_array(array: pa.Array) -> pa.Array:
    return plain_column(pa.chunked_array([array])).combine_chunks()
