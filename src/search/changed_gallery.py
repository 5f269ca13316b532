"""A bundle's gallery with the changes of its items over it."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from src.index.best_items import search_items
from src.index.filters import Condition, FilterColumns
from src.search.changed_rows import ChangedRows
from src.search.gallery import IMAGES_OF_AN_ITEM, Gallery, Hit, UnknownItemError
from src.search.hidden import Visible
from src.search.values import ColumnValues
from src.search.words import MOST_RANKED

if TYPE_CHECKING:
    from src.search.milvus_gallery import MilvusGallery

__all__ = ["PATCHED", "AnyGallery", "ChangedGallery"]

PATCHED = ("price", "in_stock")
"""What a patch changes."""

_Allowed = tuple[np.ndarray | None, np.ndarray]
"""Bool arrays: which rows of the bundle (None: all), and which changed rows."""


@dataclass(frozen=True, eq=False)
class ChangedGallery:
    """What `Gallery` offers, as of one change; later changes leave it as it is. Safe to use from many threads at once.

    An item is wholly in the bundle's rows or wholly in the changed ones, which are numbered after those of the bundle.

    Attributes:
        base: of the bundle.
        changed: rows of the items that were put.
        hidden: int64, ascending: rows of the bundle whose items were put or deleted.
        patches: current `PATCHED` of rows of the bundle.
        jpeg: from the id of a changed item's image to its small JPEG.
    """

    base: Gallery
    changed: ChangedRows
    hidden: np.ndarray
    patches: Mapping[int, Mapping[str, Any]]
    jpeg: Callable[[str], bytes | None]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.base) - len(self.hidden) + int(np.count_nonzero(self.changed.alive))

    def search(
        self, vector: np.ndarray, k: int, *, filters: Sequence[Condition] = (), dedupe: str = "item", offset: int = 0
    ) -> list[Hit]:
        """See `Gallery.search`."""
        return self._nearest(vector[None], self._allowed(filters), self.hidden, k, dedupe, offset)

    def similar(
        self, item_id: str, k: int, *, filters: Sequence[Condition] = (), dedupe: str = "item", offset: int = 0
    ) -> list[Hit]:
        """See `Gallery.similar`."""
        own = self.rows_of_item(item_id)
        if not len(own):
            raise UnknownItemError(f"item {item_id!r} is not in this bundle; give the `item_id` of one of its items")
        allowed = self._allowed(filters)
        allowed[1][own[own >= len(self.base)] - len(self.base)] = False
        hidden = np.union1d(self.hidden, own[own < len(self.base)])
        return self._nearest(self.vectors_of_item(item_id), allowed, hidden, k, dedupe, offset)

    def vectors_of_item(self, item_id: str) -> np.ndarray:
        """See `Gallery.vectors_of_item`."""
        rows = self.changed.of_item.get(item_id)
        if rows is None:
            return self.base.vectors_of_item(item_id)
        return self.changed.vectors[rows.start : rows.stop][:IMAGES_OF_AN_ITEM]

    def listed(self, item_ids: Sequence[str], *, filters: Sequence[Condition] = ()) -> list[Hit]:
        """See `Gallery.listed`."""
        base, changed = self._allowed(filters)
        rows = []
        for item_id in dict.fromkeys(item_ids):
            own = self.rows_of_item(item_id)
            if item_id in self.changed.of_item:
                own = own[changed[own - len(self.base)]]
            elif base is not None:
                own = own[base[own]]
            rows += own[:1].tolist()
        return [Hit(None, row) for row in self.describe(rows)]

    def by_words(self, text: str, limit: int) -> list[str]:
        """See `Gallery.by_words`; items of the bundle and changed ones in turn, since their ranks do not compare."""
        for asked in (limit, 8 * limit, MOST_RANKED):
            kept = [item_id for item_id in self.base.by_words(text, asked) if item_id not in self.changed.of_item]
            if len(kept) >= limit:
                break
        pairs = zip_longest(kept, self.changed.by_words(text, limit))
        return [item_id for pair in pairs for item_id in pair if item_id is not None][:limit]

    def selling(self, categories: Iterable[str] = ()) -> list[str]:
        """See `Gallery.selling`; `listed` leaves out those that were deleted since."""
        return self.base.selling(categories)

    def any_items(self, limit: int, *, filters: Sequence[Condition] = ()) -> list[str]:
        """See `Gallery.any_items`; the changed items come first, and `listed` leaves out those that do not pass."""
        changed = self.changed.of_item
        of_base = [one for one in self.base.any_items(limit, filters=filters) if one not in changed]
        return [*changed, *of_base][:limit]

    def describe(self, rows: Sequence[int] | np.ndarray) -> list[Mapping[str, Any]]:
        """See `Gallery.describe`."""
        numbers, size = [int(row) for row in rows], len(self.base)
        of_base = iter(self.base.describe([row for row in numbers if row < size]))
        return [
            self.changed.shown[row - size] if row >= size else {**next(of_base), **self.patches.get(row, {})}
            for row in numbers
        ]

    def rows_of_item(self, item_id: str) -> np.ndarray:
        """See `Gallery.rows_of_item`."""
        rows = self.changed.of_item.get(item_id)
        return self.base.rows_of_item(item_id) if rows is None else len(self.base) + np.array(rows, np.int64)

    def has_image(self, image_id: str) -> bool:
        """See `Gallery.has_image`."""
        return self._in_base(image_id) or self.jpeg(image_id) is not None

    def thumbnail(self, image_id: str) -> bytes | None:
        """See `Gallery.thumbnail`."""
        return self.base.thumbnail(image_id) if self._in_base(image_id) else self.jpeg(image_id)

    def condition(self, column: str, texts: Sequence[str]) -> Condition:
        """See `Gallery.condition`."""
        return self.base.condition(column, texts)

    def values(self, column: str) -> ColumnValues:
        """See `Gallery.values`; as the bundle was exported."""
        return self.base.values(column)

    def price_range(self) -> tuple[float, float] | None:
        """See `Gallery.price_range`; as the bundle was exported."""
        return self.base.price_range()

    def examples(self) -> list[Mapping[str, Any]]:
        """See `Gallery.examples`; those that were not deleted since, as they are now."""
        return [hit.row for hit in self.listed([str(row["item_id"]) for row in self.base.examples()])]

    def _nearest(
        self, vectors: np.ndarray, allowed: _Allowed, hidden: np.ndarray, k: int, dedupe: str, offset: int
    ) -> list[Hit]:
        """The groups that are nearest to any of some vectors, among rows that are allowed and not hidden."""
        groups, wanted, size = self.base.groups(dedupe, k, offset), offset + k, len(self.base)
        index = Visible(self.base.index, hidden) if len(hidden) else self.base.index
        found = [search_items(index, vector, groups, wanted, allowed=allowed[0]) for vector in vectors]
        rows = np.unique(np.concatenate([rows for _, rows in found]))
        shown = dict(zip(rows.tolist(), self.describe(rows), strict=True))
        scores, rows = self.changed.nearest(vectors, allowed[1])
        best: dict[tuple[bool, str], Hit] = {}
        streams = [zip(-scores, rows, strict=True) for scores, rows in (*found, (scores, size + rows))]
        for negative, row in heapq.merge(*streams):
            if len(best) == wanted:
                break
            one = shown[row] if row < size else self.changed.shown[row - size]
            # An item without a parent stands for itself, and may be named like somebody's parent.
            by_parent = dedupe == "parent" and one["parent_id"] is not None
            # Rounding may bring a cosine a few 1e-7 above 1; what is not finite is no result.
            if np.isfinite(negative):
                hit = Hit(min(max(-float(negative), -1.0), 1.0), one)
                best.setdefault((by_parent, one["parent_id" if by_parent else "item_id"]), hit)
        return list(best.values())[offset:]

    def _allowed(self, filters: Sequence[Condition]) -> _Allowed:
        """The rows that meet the filters by their current values."""
        lasting, changing = ([one for one in filters if (one.column in PATCHED) is of] for of in (False, True))
        base = self.base.items.mask(changing)
        if base is not None and self.patches:
            base[self._patched[0]] = self._patched[1].mask(changing)
        rest = self.base.items.mask(lasting)
        base = rest if base is None else base if rest is None else base & rest
        return base, self.changed.mask(filters, self.base.items.filters)

    @cached_property
    def _patched(self) -> tuple[np.ndarray, FilterColumns]:
        """The patched rows, and what filters read of them."""
        patches, column = self.patches.values(), self.base.items.filters.column
        columns = {name: pa.array([one[name] for one in patches], column(name).type) for name in PATCHED}
        return np.fromiter(self.patches, np.int64, len(patches)), FilterColumns(pa.table(columns))

    def _in_base(self, image_id: str) -> bool:
        row = self.base.items.row_of_image(image_id)
        return row is not None and row not in self.hidden[np.searchsorted(self.hidden, row) :][:1]


AnyGallery: TypeAlias = "Gallery | ChangedGallery | MilvusGallery"
"""What a service searches."""
