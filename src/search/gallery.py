"""What can be found in one bundle: its vectors, items, pictures and words, and the ways to search them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from src.contracts.bundle import INDEX, ITEMS_ARROW, THUMBNAILS, WORDS, Bundle
from src.contracts.errors import BundleError, LookalikeError
from src.index.best_items import search_items
from src.index.faiss_index import FaissIndex
from src.index.filters import AnyOf, Condition
from src.index.protocol import Searchable
from src.search.conditions import read_condition
from src.search.hidden import Visible
from src.search.items import Items
from src.search.pictures import Pictures
from src.search.trending import Trending
from src.search.values import ColumnValues, column_values, price_range
from src.search.words import Words

__all__ = ["DEDUPES", "IMAGES_OF_AN_ITEM", "Gallery", "Hit", "UnknownItemError", "Vectors"]

DEDUPES = ("item", "parent")
"""What a result stands for: an item, or all items of one parent."""

IMAGES_OF_AN_ITEM = 8
"""Images of an item that its similar items are searched with: each costs a search, and more show little that is new."""
_EXAMPLES = 12


class Hit(NamedTuple):
    """An item that was found.

    Attributes:
        score: cosine of its nearest image, -1 to 1; None where no images were compared.
        row: what is shown of that image (`SHOWN`). It is shared: do not change it.
    """

    score: float | None
    row: Mapping[str, Any]


class UnknownItemError(LookalikeError):
    """No item has this id."""


class Vectors(Searchable, Protocol):
    """Vectors that can be searched, and read row by row."""

    @property
    def dim(self) -> int:
        """Of the vectors."""
        ...

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """See `FaissIndex.vectors`."""
        ...


class Gallery:
    """The searchable side of a bundle. Immutable; safe to use from many threads at once.

    In each search, `filters` are conditions that a row must meet, all of them; `dedupe` is one of `DEDUPES`; `offset`
    is how many better results are passed over; `hidden` are rows that are never found, int64, ascending.

    Attributes:
        index: the vectors; row i is the image of item row i.
        items: the rows.
    """

    def __init__(
        self, *, index: Vectors, items: Items, words: Words | None, trending: Trending, pictures: Pictures | None = None
    ) -> None:
        """Put the parts together.

        Args:
            index: row i is the vector of row i of `items`.
            items: the rows.
            words: what finds items by words; None finds nothing.
            trending: what sells.
            pictures: row i is the picture of row i; None where there are none.

        Raises:
            LookalikeError: the parts are not of the same number of images.
        """
        if len(index) != len(items):
            raise LookalikeError(f"{len(index)} vectors for {len(items)} images; export the bundle again")
        self.index = index
        self.items = items
        self._words = words
        self._trending = trending
        self._pictures = pictures

    @classmethod
    def open(cls, bundle: Bundle) -> "Gallery":
        """Map a bundle's index, items, pictures and words. Its files may be replaced by a rename meanwhile.

        Raises:
            BundleError: a file is unreadable, or they are not of the same images.
        """
        if bundle.content["index"].get("backend") == "milvus":
            raise BundleError(
                f"bundle {bundle.root}: its index is the Milvus collection {bundle.content['index']['collection']}, "
                "no file; open it with src.index.bundle_collection"
            )
        items, pictures = Items.open(bundle.path(ITEMS_ARROW)), Pictures(bundle.path(THUMBNAILS))
        if not pictures.image_ids.equals(items.table["image_id"]):
            raise BundleError(
                f"bundle {bundle.root}: {THUMBNAILS} and {ITEMS_ARROW} are not of the same images; export it again"
            )
        index = FaissIndex.load(bundle.path(INDEX), mapped=True, **bundle.content["index"]["search"])
        if len(index) != len(items):
            raise BundleError(f"bundle {bundle.root}: {len(index)} vectors for {len(items)} images; export it again")
        words, trending = Words(bundle.path(WORDS)), Trending.of(bundle)
        return cls(index=index, items=items, words=words, trending=trending, pictures=pictures)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.items)

    def search(
        self,
        vector: np.ndarray,
        k: int,
        *,
        filters: Sequence[Condition] = (),
        dedupe: str = "item",
        offset: int = 0,
        hidden: np.ndarray | None = None,
    ) -> list[Hit]:
        """The k best items for a vector: an item's score is that of its nearest image.

        Args:
            vector: float32 of shape (dim,), L2-normalised.
            k: results wanted.
            filters: see above, like the others.
            dedupe: likewise.
            offset: likewise.
            hidden: likewise.

        Returns:
            At most k, best first.

        Raises:
            FilterError: a filter on a column that is not there, or that does not suit it.
            LookalikeError: another `dedupe`, or a negative number.
        """
        groups = self.groups(dedupe, k, offset)
        found = self._nearest(vector, offset + k, groups, self.items.mask(filters), hidden)
        return self._hits(*found, offset)

    def similar(
        self,
        item_id: str,
        k: int,
        *,
        filters: Sequence[Condition] = (),
        dedupe: str = "item",
        offset: int = 0,
        hidden: np.ndarray | None = None,
    ) -> list[Hit]:
        """The k items that are nearest to any of an item's first eight images, the item itself left out.

        Raises:
            UnknownItemError: there is no such item.
            FilterError: as `search`, like the following.
            LookalikeError: likewise.
        """
        rows = self.rows_of_item(item_id)
        if not len(rows):
            raise UnknownItemError(f"item {item_id!r} is not in this bundle; give the `item_id` of one of its items")
        groups, allowed = self.groups(dedupe, k, offset), self.items.mask(filters)
        gone = rows if hidden is None else np.union1d(rows, hidden)
        # An item among the best over all images is among the best of the image that it is nearest to.
        vectors = self.index.vectors(rows[:IMAGES_OF_AN_ITEM])
        found = [self._nearest(vector, offset + k, groups, allowed, gone) for vector in vectors]
        scores, near = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((near, -scores))
        _, first = np.unique(groups[near[order]], return_index=True)
        best = order[np.sort(first)][: offset + k]
        return self._hits(scores[best], near[best], offset)

    def vectors_of_item(self, item_id: str) -> np.ndarray:
        """The vectors of an item's first eight images, float32 of shape (images, dim); none where it is unknown."""
        return self.index.vectors(self.rows_of_item(item_id)[:IMAGES_OF_AN_ITEM])

    def listed(self, item_ids: Sequence[str], *, filters: Sequence[Condition] = ()) -> list[Hit]:
        """Items by their ids, each once and in this order: its first row that meets the filters, without a score.

        What is unknown, and what meets them in no row, is left out.
        """
        allowed = self.items.mask(filters)
        rows = []
        for item_id in dict.fromkeys(item_ids):
            here = self.rows_of_item(item_id)
            here = here if allowed is None else here[allowed[here]]
            rows += here[:1].tolist()
        return [Hit(None, row) for row in self.items.shown(rows)]

    def by_words(self, text: str, limit: int) -> list[str]:
        """The ids of items that have all words of a text, the last perhaps in part, best first (BM25)."""
        return self.items.item_ids(self._words.search(text, limit)) if self._words else []

    def selling(self, categories: Iterable[str] = ()) -> list[str]:
        """The ids of items that sold when the bundle was made, best first: of these categories, or of all."""
        return self._trending.items(categories)

    def any_items(self, limit: int, *, filters: Sequence[Condition] = ()) -> list[str]:
        """The ids of items that meet the filters, those in stock first, at most `limit`."""
        allowed = self.items.mask(filters)
        in_stock = self.items.mask([AnyOf("in_stock", frozenset({True}))])
        assert in_stock is not None
        first = in_stock if allowed is None else in_stock & allowed
        others = ~in_stock if allowed is None else ~in_stock & allowed
        names: dict[str, None] = {}
        for row in np.concatenate([np.flatnonzero(first), np.flatnonzero(others)]):
            names.update(dict.fromkeys(self.items.item_ids([row])))
            if len(names) == limit:
                break
        return list(names)

    def describe(self, rows: Sequence[int] | np.ndarray) -> list[Mapping[str, Any]]:
        """What a result shows of some rows (`SHOWN`); the mappings are shared, do not change them."""
        return self.items.shown(rows)

    def rows_of_item(self, item_id: str) -> np.ndarray:
        """The rows of an item's images, int64 of shape (images,), ascending; none where it is unknown."""
        return self.items.rows_of_item(item_id)

    def has_image(self, image_id: str) -> bool:
        """Whether there is an image of this id."""
        return self.items.row_of_image(image_id) is not None

    def thumbnail(self, image_id: str) -> bytes | None:
        """An image's small JPEG, or None where there is none."""
        row = self.items.row_of_image(image_id)
        return None if row is None else self.picture(row)

    def picture(self, row: int) -> bytes | None:
        """A row's small JPEG, or None where the gallery has no pictures."""
        return None if self._pictures is None else self._pictures.jpeg(row)

    def condition(self, column: str, texts: Sequence[str]) -> Condition:
        """Read a filter as a request gives it; see `read_condition`."""
        return read_condition(column, self.items.filters.column(column).type, texts)

    def values(self, column: str) -> ColumnValues:
        """The values of a column that a filter may ask for; raises `FilterError` where there is no such column."""
        return column_values(self.items.filters.column(column))

    def price_range(self) -> tuple[float, float] | None:
        """The lowest and the highest finite price; None where no row has one."""
        return price_range(self.items.table["price"])

    def examples(self) -> list[Mapping[str, Any]]:
        """A few items from all over the catalogue."""
        count = self.items.count
        numbers = np.unique(np.linspace(0, count - 1, min(_EXAMPLES, count)).astype(np.int64))
        return self.describe([self.items.first_row(int(number)) for number in numbers])

    def _nearest(
        self, vector: np.ndarray, k: int, groups: np.ndarray, allowed: np.ndarray | None, hidden: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        index = self.index if hidden is None or not len(hidden) else Visible(self.index, hidden)
        return search_items(index, vector, groups, k, allowed=allowed)

    def groups(self, dedupe: str, k: int, offset: int) -> np.ndarray:
        """The number of the item or parent of each row; raises `LookalikeError` as `search` does."""
        if dedupe not in DEDUPES:
            raise LookalikeError(f"`dedupe={dedupe}`: must be one of {', '.join(DEDUPES)}")
        if k < 0 or offset < 0:
            raise LookalikeError(f"`k={k}`, `offset={offset}`: must not be negative")
        return self.items.parent_of_row if dedupe == "parent" else self.items.item_of_row

    def _hits(self, scores: np.ndarray, rows: np.ndarray, offset: int) -> list[Hit]:
        scores, rows = scores[offset:], rows[offset:]
        # Rounding may bring a cosine a few 1e-7 above 1; what is not finite is no result.
        finite = np.isfinite(scores)
        clipped = np.clip(scores[finite].astype(np.float64), -1.0, 1.0).tolist()
        return [Hit(score, row) for score, row in zip(clipped, self.items.shown(rows[finite]), strict=True)]
