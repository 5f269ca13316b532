"""`items.arrow`: the items table as serving reads it, in an uncompressed Arrow file that is mapped. Row i is vector i.

It has the columns of `items.parquet` that can be filtered by, strings coded where values repeat (`code_strings`), and
four columns of integers, so that to open it takes neither a sort nor a loop over its rows:

    #item      the number of the row's item; items are numbered in the order of their ids, from 0
    #parent    the number of the row's parent; an item without one has a number of its own
    #by_image  the rows in the order of their image ids
    #by_item   the rows in the order of their item ids, those of one item ascending
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from src.contracts.errors import BundleError, TableError
from src.index.coded_strings import code_strings, is_string
from src.index.filter_columns import is_readable

__all__ = ["BY_IMAGE", "BY_ITEM", "ITEM", "NUMBERS", "PARENT", "arrange_items", "map_items", "write_items"]

ITEM, PARENT, BY_IMAGE, BY_ITEM = NUMBERS = ("#item", "#parent", "#by_image", "#by_item")
_IDS = ("image_id", "item_id")


def arrange_items(table: pa.Table) -> pa.Table:
    """An items table as `items.arrow` holds it.

    Args:
        table: as `validate_items` returns it. Columns of other types than strings, booleans, numbers, dates and times
            are left out.

    Raises:
        TableError: a column has the name of one of the four.
    """
    taken = sorted({*NUMBERS} & {*table.column_names})
    if taken:
        raise TableError(
            f"items table: column {taken[0]!r} has a name that {', '.join(NUMBERS)} are kept for; rename it"
        )
    kept = [field.name for field in table.schema if is_readable(field.type)]
    columns = {name: _column(name, table[name]) for name in kept}
    by_image, by_item = (_order(columns[name]) for name in _IDS)
    item = _group_numbers(columns["item_id"], by_item)
    numbers = zip(NUMBERS, (item, _parents(table["parent_id"], item), by_image, by_item), strict=True)
    width = pa.int32() if len(table) < 2**31 else pa.int64()
    return pa.table(columns | {name: pa.array(values).cast(width) for name, values in numbers})


def write_items(path: Path, table: pa.Table) -> None:
    """Write `items.arrow`; equal tables give equal bytes.

    Args:
        path: file to write.
        table: as for `arrange_items`.
    """
    arranged = arrange_items(table)
    # One batch, so that each column is one block of memory.
    with ipc.new_file(path, arranged.schema) as writer:
        writer.write_table(arranged, max_chunksize=max(1, len(arranged)))


def map_items(path: Path) -> pa.Table:
    """Map what `write_items` wrote. The file may be renamed, replaced by a rename or deleted meanwhile.

    Raises:
        BundleError: no such file, or not one of these.
    """
    try:
        table = ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path}: not a readable table ({error}); export the bundle again") from None
    missing = sorted({*_IDS, *NUMBERS} - {*table.column_names})
    if missing:
        raise BundleError(f"{path}: it has no column {', '.join(missing)}; export the bundle again")
    return table


def _column(name: str, column: pa.ChunkedArray) -> pa.Array:
    if is_string(column.type):
        return column.cast(pa.large_string()).combine_chunks() if name in _IDS else code_strings(column)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_timestamp(kind):
        # Python's own resolution: filters compare with it as it stands.
        return column.cast(pa.timestamp("us", kind.tz), safe=False).combine_chunks()
    return column.cast(pa.date32() if pa.types.is_date(kind) else kind).combine_chunks()


def _order(ids: pa.Array) -> np.ndarray:
    return pc.sort_indices(ids).to_numpy().astype(np.int64)


def _group_numbers(names: pa.Array, order: np.ndarray) -> np.ndarray:
    """The rank of each row's name among the different names, int64 of shape (rows,)."""
    numbers = np.zeros(len(names), np.int64)
    ordered = names.take(pa.array(order))
    numbers[order[1:]] = np.cumsum(pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False))
    return numbers


def _parents(parents: pa.ChunkedArray, item: np.ndarray) -> np.ndarray:
    # A parent is named by itself; an item without one stands for itself, and may be named like somebody's parent.
    coded = parents.cast(pa.large_string()).combine_chunks().dictionary_encode()
    groups = pc.fill_null(coded.indices, -1).to_numpy().astype(np.int64)
    return np.where(groups < 0, len(coded.dictionary) + item, groups)
