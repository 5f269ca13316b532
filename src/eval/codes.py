"""Columns of queries and gallery as integers that can be compared."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.eval.embedded import Embedded

__all__ = ["NULL", "column_codes", "paired_codes"]

NULL = -1
"""The code of null, which equals nothing, not even itself."""


def column_codes(queries: Embedded, gallery: Embedded, column: str) -> tuple[np.ndarray, np.ndarray] | None:
    """One column's values as int64 codes, equal where the values are, `NULL` for null.

    Returns:
        The codes of the queries and of the gallery; None where one of them has no such column or only null in it.
    """
    if column == "item_id":
        values = pa.array(np.concatenate([queries.item_ids, gallery.item_ids]).astype(str))
    else:
        asked, found = queries.attribute(column), gallery.attribute(column)
        if asked is None or found is None:
            return None
        values = pa.concat_arrays([*asked.chunks, *found.cast(asked.type).chunks])
    codes = pc.fill_null(values.dictionary_encode().indices, NULL).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes[: len(queries)], codes[len(queries) :]


def paired_codes(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Codes that are equal where both of two columns are."""
    a, b = np.concatenate(first), np.concatenate(second)
    _, codes = np.unique(a * (b.max() + 2) + b, return_inverse=True)
    codes = np.where((a == NULL) | (b == NULL), NULL, codes)
    return codes[: len(first[0])], codes[len(first[0]) :]
