"""What can be found in a Milvus collection that many replicas share. Needs the extra `milvus`."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.bundle import ITEMS_ARROW, THUMBNAILS, WORDS, Bundle
from src.contracts.errors import BundleError, JournalError, LookalikeError, UnavailableError
from src.index.bundle_collection import open_collection
from src.index.change_store import ItemChange
from src.index.filters import AnyOf, Condition, FilterColumns
from src.index.milvus_index import MilvusIndex
from src.search.gallery import DEDUPES, IMAGES_OF_AN_ITEM, Gallery, Hit, UnknownItemError
from src.search.items import SHOWN, Items
from src.search.milvus_place import MilvusPlace
from src.search.pictures import Pictures
from src.search.settled_positions import SettledPositions
from src.search.trending import Trending
from src.search.values import ColumnValues
from src.search.words import Words

__all__ = ["MilvusGallery"]

_GROUPS = {"item": "item_id", "parent": "parent_key"}
_IMAGES = 64
"""Images of an item that are read; the first eight by their ids are searched with."""
_LISTED = 500
"""Items that are looked up by one call."""
_PAUSE = 2.0
"""Seconds for which items are looked up in the bundle after Milvus has failed."""
_EXAMINED = 16_384
"""Rows of the bundle that are looked at for items that meet some filters, while Milvus is away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MilvusGallery:
    """What `Gallery` offers, over the collection that a bundle names. Safe to use from many threads at once.

    Vectors, attributes and filters are Milvus'. From the bundle come words, what sells, the values of columns and small
    pictures, as of the export; items that were put since are not found by words. Nothing here grows with the catalogue
    but files that are mapped. Where Milvus fails, searches raise `UnavailableError`, and `listed` reads the rows of the
    bundle.

    Attributes:
        index: the collection.
        exported: the bundle's own files; its vectors are not there.
        place: of the collection.
        consistency: of each search.
    """

    index: MilvusIndex
    exported: Gallery
    place: MilvusPlace
    consistency: str
    _positions: SettledPositions = field(default_factory=SettledPositions)
    _failed: list[float] = field(default_factory=lambda: [-math.inf])

    @classmethod
    def open(cls, bundle: Bundle, place: MilvusPlace) -> "MilvusGallery":
        """Open the collection that a bundle names.

        Raises:
            BundleError: the collection is of another encoder, preprocessing or dimension, or was not finished.
            UnavailableError: Milvus is away or refuses.
        """
        index = open_collection(
            bundle, place.uri, token=place.token, timeout=place.timeout, consistency=place.consistency
        )
        try:
            return cls(index=index, exported=_exported(bundle), place=place, consistency=place.consistency)
        except BaseException:
            index.close()
            raise

    def after(self, position: int) -> "MilvusGallery":
        """A gallery whose searches see the write of a position: Strong until every search sees it."""
        return self if self._positions.settled(position) else replace(self, consistency="Strong")

    def __len__(self) -> int:
        """The number of images when the bundle was exported."""
        return len(self.exported)

    @property
    def items(self) -> Items:
        """The rows as they were exported."""
        return self.exported.items

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return self.index.dim

    def search(
        self, vector: np.ndarray, k: int, *, filters: Sequence[Condition] = (), dedupe: str = "item", offset: int = 0
    ) -> list[Hit]:
        """See `Gallery.search`; raises `UnavailableError` as well."""
        return self._nearest(vector, k, filters, dedupe, offset, None)

    def similar(
        self, item_id: str, k: int, *, filters: Sequence[Condition] = (), dedupe: str = "item", offset: int = 0
    ) -> list[Hit]:
        """See `Gallery.similar`; raises `UnavailableError` as well. Its first images are those of the lowest ids."""
        vectors = self.vectors_of_item(item_id)
        if not len(vectors):
            raise UnknownItemError(f"there is no item {item_id!r}; give the `item_id` of one of this catalogue's items")
        return self._nearest(vectors, k, filters, dedupe, offset, item_id)

    def vectors_of_item(self, item_id: str) -> np.ndarray:
        """See `Gallery.vectors_of_item`; raises `UnavailableError` as well."""
        with self._noted():
            condition = AnyOf("item_id", frozenset({item_id}))
            rows = self.index.rows([condition], columns=["vector"], limit=_IMAGES, consistency=self.consistency)
        rows.sort(key=lambda row: str(row["image_id"]))
        return np.array([row["vector"] for row in rows[:IMAGES_OF_AN_ITEM]], np.float32).reshape(-1, self.dim)

    def listed(self, item_ids: Sequence[str], *, filters: Sequence[Condition] = ()) -> list[Hit]:
        """See `Gallery.listed`: of an item's images that meet the filters, the one of the lowest id.

        For a while after Milvus has failed, the rows are those of the bundle with the changes that the database has;
        without the database there are none, since any of them may be gone.
        """
        wanted = list(dict.fromkeys(item_ids))
        if time.monotonic() - self._failed[0] >= _PAUSE:
            try:
                with self._noted():
                    return self._listed(wanted, filters)
            except UnavailableError:
                pass
        return self._listed_as_exported(wanted, filters)

    def by_words(self, text: str, limit: int) -> list[str]:
        """See `Gallery.by_words`; `listed` leaves out those that were deleted since the export."""
        return self.exported.by_words(text, limit)

    def selling(self, categories: Iterable[str] = ()) -> list[str]:
        """See `Gallery.selling`; likewise."""
        return self.exported.selling(categories)

    def any_items(self, limit: int, *, filters: Sequence[Condition] = ()) -> list[str]:
        """See `Gallery.any_items`; without Milvus, of the first rows of the bundle."""
        if time.monotonic() - self._failed[0] >= _PAUSE:
            try:
                with self._noted():
                    found = self.index.rows(
                        filters or [AnyOf("in_stock", frozenset({True}))], columns=["item_id", "in_stock"], limit=limit
                    )
                found.sort(key=lambda row: not row["in_stock"])
                return list(dict.fromkeys(row["item_id"] for row in found))
            except UnavailableError:
                pass
        first = self.exported.items.table.slice(0, _EXAMINED)
        mask = FilterColumns(first).mask(filters)
        rows = np.arange(len(first)) if mask is None else np.flatnonzero(mask)
        return list(dict.fromkeys(self.exported.items.item_ids(rows)))[:limit]

    def thumbnail(self, image_id: str) -> bytes | None:
        """See `Gallery.thumbnail`; raises `JournalError` where the database of changes is away."""
        return self.exported.thumbnail(image_id) or self.place.jpeg(image_id)

    def picture(self, row: int) -> bytes | None:
        """See `Gallery.picture`: of a row as it was exported."""
        return self.exported.picture(row)

    def condition(self, column: str, texts: Sequence[str]) -> Condition:
        """See `Gallery.condition`."""
        return self.exported.condition(column, texts)

    def values(self, column: str) -> ColumnValues:
        """See `Gallery.values`; as the bundle was exported."""
        return self.exported.values(column)

    def price_range(self) -> tuple[float, float] | None:
        """See `Gallery.price_range`; as the bundle was exported."""
        return self.exported.price_range()

    def examples(self) -> list[Mapping[str, Any]]:
        """See `Gallery.examples`; those that were not deleted since, as they are now."""
        return [hit.row for hit in self.listed([str(row["item_id"]) for row in self.exported.examples()])]

    def note_failure(self) -> None:
        """Look items up in the bundle for a while: Milvus has failed, or is late."""
        self._failed[0] = time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        self.index.close()

    def _nearest(
        self,
        vectors: np.ndarray,
        k: int,
        filters: Sequence[Condition],
        dedupe: str,
        offset: int,
        leave_out: str | None,
    ) -> list[Hit]:
        if dedupe not in DEDUPES:
            raise LookalikeError(f"`dedupe={dedupe}`: must be one of {', '.join(DEDUPES)}")
        if k < 0 or offset < 0:
            raise LookalikeError(f"`k={k}`, `offset={offset}`: must not be negative")
        if not k:
            return []
        with self._noted():
            found = self.index.search_groups(
                vectors,
                offset + k,
                filters,
                by=_GROUPS[dedupe],
                leave_out=leave_out,
                columns=SHOWN,
                consistency=self.consistency,
            )
        return [Hit(min(max(hit.score, -1.0), 1.0), _shown(hit.row)) for hit in found[offset:]]

    def _listed(self, item_ids: Sequence[str], filters: Sequence[Condition]) -> list[Hit]:
        best: dict[str, dict[str, Any]] = {}
        for start in range(0, len(item_ids), _LISTED):
            condition = AnyOf("item_id", frozenset(item_ids[start : start + _LISTED]))
            rows = self.index.rows([condition, *filters], columns=SHOWN, consistency=self.consistency)
            for row in sorted(rows, key=lambda row: str(row["image_id"])):
                best.setdefault(row["item_id"], row)
        return [Hit(None, _shown(best[item_id])) for item_id in item_ids if item_id in best]

    def _listed_as_exported(self, item_ids: Sequence[str], filters: Sequence[Condition]) -> list[Hit]:
        items = self.exported.items
        rows = [row for item_id in item_ids for row in items.rows_of_item(item_id).tolist()]
        try:
            changed = self.place.changed(items.item_ids(rows)) if rows else {}
        except JournalError:
            return []
        described = [_as_changed(row, changed.get(row["item_id"])) for row in items.described(rows)]
        there = [row for row in described if row is not None]
        schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in items.table.schema])
        mask = FilterColumns(pa.Table.from_pylist(there, schema)).mask(filters)
        best: dict[str, dict[str, Any]] = {}
        for row, meets in zip(there, np.ones(len(there), bool) if mask is None else mask, strict=True):
            if meets:
                best.setdefault(row["item_id"], row)
        return [Hit(None, _shown(row)) for row in best.values()]

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except UnavailableError:
            self.note_failure()
            raise


class _NoVectors:
    """Stands for the vectors that a bundle does not have."""

    def __init__(self, rows: int, dim: int) -> None:
        self._rows, self.dim = rows, dim

    def __len__(self) -> int:
        return self._rows

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("its vectors are in Milvus")

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        raise AssertionError("its vectors are in Milvus")


def _exported(bundle: Bundle) -> Gallery:
    items, pictures = Items.open(bundle.path(ITEMS_ARROW)), Pictures(bundle.path(THUMBNAILS))
    if len(pictures) != len(items):
        raise BundleError(f"bundle {bundle.root}: {len(pictures)} pictures for {len(items)} images; export it again")
    return Gallery(
        index=_NoVectors(len(items), int(bundle.content["dim"])),
        items=items,
        words=Words(bundle.path(WORDS)),
        trending=Trending.of(bundle),
        pictures=pictures,
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SHOWN}


def _as_changed(row: dict[str, Any], change: ItemChange | None) -> dict[str, Any] | None:
    """A row of the bundle as its item is now; None where it is gone."""
    if change is None:
        return row
    ids = {"image_id": min(change.vectors, default=""), "item_id": change.item_id}
    return None if change.deleted else {**dict.fromkeys(row), **change.attributes, **ids}


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
