"""Strings as integer codes into a sorted list of their values: a filter then compares integers."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["code_strings", "is_string", "sorted_dictionary"]


def is_string(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings, dictionary-encoded or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def code_strings(column: pa.ChunkedArray) -> pa.Array:
    """A string column, dictionary-encoded where each value stands in two rows or more on average.

    Args:
        column: strings, with nulls; dictionary-encoded or not.

    Returns:
        A `sorted_dictionary`, or large strings where most values are rare. Equal columns give equal bytes.
    """
    # 64-bit offsets: the strings of one column may take more than 2 GB.
    plain = column.cast(pa.large_string()).combine_chunks()
    coded = plain.dictionary_encode()
    return sorted_dictionary(coded) if 2 * len(coded.dictionary) <= len(coded) - coded.null_count else plain


def sorted_dictionary(coded: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same strings with their dictionary in ascending order and indices of the smallest type that holds them.

    Args:
        coded: strings; the dictionary has no null and no value twice.
    """
    values = coded.dictionary.cast(pa.large_string())
    order = pc.sort_indices(values)
    place = np.empty(len(values), np.min_scalar_type(-max(1, len(values))))
    place[order.to_numpy()] = np.arange(len(values))
    indices = pa.array(place).take(coded.indices)
    return pa.DictionaryArray.from_arrays(indices, values.take(order))
