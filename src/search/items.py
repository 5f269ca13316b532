"""The items of a bundle: from ids to rows, from rows to what is shown, and the filters over them."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from src.index.filters import Condition, FilterColumns
from src.search.items_file import BY_IMAGE, BY_ITEM, ITEM, NUMBERS, PARENT, arrange_items, map_items

__all__ = ["SHOWN", "Items"]

SHOWN = ("image_id", "item_id", "parent_id", "category", "brand", "color", "price", "in_stock")
"""Columns that a search result shows."""

_DESCRIBED = 16_384
"""Rows whose description is kept: these take a quarter of the time that reading the table takes."""


class Items:
    """One row for each vector of an index. Immutable; safe to use from many threads at once.

    Attributes:
        table: the rows, without the columns of numbers.
        filters: which rows meet conditions.
        item_of_row: integers of shape (rows,), the number of each row's item: the rank of its id, from 0.
        parent_of_row: integers of shape (rows,), the number of each row's parent, or of the item where it has none.
        count: how many items there are.
    """

    def __init__(self, arranged: pa.Table) -> None:
        """Take over a table that `arrange_items` or `map_items` returned."""
        self.table = arranged.drop_columns(NUMBERS)
        self.filters = FilterColumns(self.table)
        self.item_of_row = _numbers(arranged[ITEM])
        self.parent_of_row = _numbers(arranged[PARENT])
        self._by_image = _numbers(arranged[BY_IMAGE])
        self._by_item = _numbers(arranged[BY_ITEM])
        self.count = int(self.item_of_row[self._by_item[-1]]) + 1 if len(self) else 0
        self._image_ids, self._item_ids = (_whole(self.table[name]) for name in ("image_id", "item_id"))
        self._described: dict[int, Mapping[str, Any]] = {}

    @classmethod
    def open(cls, path: Path) -> "Items":
        """Map `items.arrow`; raises `BundleError` where it is none."""
        return cls(map_items(path))

    @classmethod
    def of_table(cls, table: pa.Table) -> "Items":
        """Arrange a table in memory.

        Args:
            table: as `validate_items` returns it.
        """
        return cls(arrange_items(table))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def rows_of_item(self, item_id: str) -> np.ndarray:
        """The rows of an item's images, int64 of shape (images,), ascending; none where it is unknown."""
        first, last = self._places(self._by_item, self._item_ids, item_id)
        return self._by_item[first:last].astype(np.int64)

    def row_of_image(self, image_id: str) -> int | None:
        """The row of an image, or None."""
        first, last = self._places(self._by_image, self._image_ids, image_id)
        return int(self._by_image[first]) if first < last else None

    def first_rows(self) -> np.ndarray:
        """The first row of each item, int64 of shape (count,), in the order of their ids."""
        ordered = self.item_of_row[self._by_item]
        return self._by_item[np.flatnonzero(np.diff(ordered, prepend=-1))].astype(np.int64)

    def first_row(self, number: int) -> int:
        """The first row of the item of a number, from 0 to `count` - 1."""
        return int(self._by_item[bisect_left(self._by_item, number, key=lambda row: int(self.item_of_row[row]))])

    def item_ids(self, rows: Iterable[int]) -> list[str]:
        """The items of some rows."""
        return [self._item_ids[int(row)].as_py() for row in rows]

    def shown(self, rows: Sequence[int] | np.ndarray) -> list[Mapping[str, Any]]:
        """What a result shows of some rows: the columns `SHOWN`. The mappings are shared; do not change them."""
        wanted, kept = [int(row) for row in rows], self._described  # Which another thread may begin anew.
        found = {row: kept[row] for row in wanted if row in kept}
        missing = [row for row in wanted if row not in found]
        if missing:
            new = dict(zip(missing, self.described(missing, SHOWN), strict=True))
            found |= new
            if len(kept) + len(new) > _DESCRIBED:
                self._described = kept = {}
            kept.update(new)
        return [found[row] for row in wanted]

    def described(self, rows: Sequence[int] | np.ndarray, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Some columns of some rows, all columns where None; what is null or not finite is None."""
        table = self.table.select(self.table.column_names if columns is None else columns)
        found: list[dict[str, Any]] = table.take(pa.array(rows, pa.int64())).to_pylist()
        for row in found:
            row.update(
                (name, None) for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)
            )
        return found

    def mask(self, conditions: Iterable[Condition]) -> np.ndarray | None:
        """See `FilterColumns.mask`."""
        return self.filters.mask(conditions)

    def _places(self, order: np.ndarray, ids: pa.Array, name: str) -> tuple[int, int]:
        # Arrow sorts by UTF-8 bytes and Python compares by code points: the two orders are the same.
        def of(row: int) -> str:
            return str(ids[int(row)].as_py())

        first = bisect_left(order, name, key=of)
        return first, bisect_right(order, name, lo=first, key=of)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    numbers: np.ndarray = _whole(column).to_numpy(zero_copy_only=True)
    return numbers


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
