"""Changes of items over a bundle's gallery, in memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from src.contracts.errors import LookalikeError
from src.search.changed_gallery import PATCHED, ChangedGallery
from src.search.changed_rows import ChangedRows
from src.search.gallery import Gallery
from src.search.items import SHOWN
from src.search.words import read_tokens

__all__ = ["MOST_IMAGES", "Changes"]

MOST_IMAGES = 50_000
"""Images of changed items: each search compares with all of them, which takes 8 ms at this number."""
_LEAST_ROOM = 1024


class Changes:
    """Collects changes; one thread at a time writes, any thread reads `gallery`.

    Rows are added after the last one and marked when they die, so that a change costs a copy of what is known of
    changed items, not of their vectors, and nothing that grows with the bundle.
    """

    def __init__(self, base: Gallery, *, dim: int, jpeg: Callable[[str], bytes | None] = lambda image_id: None) -> None:
        """No changes yet to a bundle of so many dimensions; `jpeg` gives the small picture of a changed image's id."""
        self._base, self._dim, self._jpeg = base, dim, jpeg
        self._of_item: dict[str, range] = {}
        self._hidden, self._newly_hidden = np.empty(0, np.int64), list[int]()
        self._patches: dict[int, Mapping[str, Any]] = {}
        self._allocate(_LEAST_ROOM)
        self.publish()

    def _allocate(self, room: int) -> None:
        self._count, self._alive = 0, 0
        self._vectors: np.ndarray = np.empty((room, self._dim), np.float32)
        self._is_alive: np.ndarray = np.zeros(room, bool)
        self._shown: list[Mapping[str, Any]] = []
        self._words: list[list[str]] = []

    def gallery(self) -> ChangedGallery:
        """The items as of the last `publish`."""
        return self._gallery

    @property
    def images(self) -> int:
        """How many images of changed items are in memory."""
        return self._alive

    def check_room(self, item_id: str, images: int) -> None:
        """Raise `LookalikeError` where an item of so many images does not fit."""
        others = self._alive - len(self._of_item.get(item_id, ()))
        if others + images > MOST_IMAGES:
            raise LookalikeError(
                f"item {item_id!r} has {images} images, and {others} of other changed items are in memory, of at most "
                f"{MOST_IMAGES}; export a new bundle that has the changes, and serve it with `changes_after`"
            )

    def put(self, item_id: str, vectors: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> None:
        """Add an item, or replace all of it; raises as `check_room`.

        Args:
            item_id: the item.
            vectors: float32 of shape (dim,), L2-normalised, by image_id; at least one.
            attributes: of `SHOWN`, by name; those that are left out are null.
        """
        self.check_room(item_id, len(vectors))
        self.delete(item_id)
        if self._count + len(vectors) > len(self._vectors):
            self._make_room(len(vectors))
        whole = {name: attributes.get(name) for name in SHOWN}
        shown = [{**whole, "image_id": image_id, "item_id": item_id} for image_id in vectors]
        self._append(item_id, np.stack(list(vectors.values())), shown)

    def patch(self, item_id: str, attributes: Mapping[str, Any]) -> None:
        """Change some of `PATCHED` of an item; an unknown one is passed over."""
        if item_id in self._of_item:
            vectors, shown = self._item(item_id)
            if shown:
                images = {row["image_id"]: vector for row, vector in zip(shown, vectors, strict=True)}
                self.put(item_id, images, {**shown[0], **attributes})
            return
        rows = self._base.rows_of_item(item_id).tolist()
        for row, exported in zip(rows, self._base.describe(rows), strict=True):
            known = self._patches.get(row, exported)
            self._patches[row] = {name: attributes.get(name, known[name]) for name in PATCHED}

    def delete(self, item_id: str) -> None:
        """Hide an item; an unknown one is passed over."""
        if item_id not in self._of_item:
            self._newly_hidden += self._base.rows_of_item(item_id).tolist()
        rows = self._of_item.get(item_id, range(0))
        self._is_alive[rows.start : rows.stop] = False
        self._alive -= len(rows)
        self._of_item[item_id] = range(0)

    def publish(self) -> None:
        """Make the changes since the last call visible, all at once."""
        if self._newly_hidden:
            self._hidden, self._newly_hidden = np.union1d(self._hidden, self._newly_hidden), []
        vectors, alive = self._vectors[: self._count], self._is_alive[: self._count].copy()
        changed = ChangedRows(vectors, alive, self._shown, self._words, self._of_item.copy())
        self._gallery = ChangedGallery(self._base, changed, self._hidden, self._patches.copy(), self._jpeg)

    def _item(self, item_id: str) -> tuple[np.ndarray, list[Mapping[str, Any]]]:
        rows = slice(self._of_item[item_id].start, self._of_item[item_id].stop)
        return self._vectors[rows], self._shown[rows]

    def _append(self, item_id: str, vectors: np.ndarray, shown: Sequence[Mapping[str, Any]]) -> None:
        first, end = self._count, self._count + len(vectors)
        words = read_tokens(" ".join(shown[0][name] or "" for name in ("brand", "color", "category")))
        self._vectors[first:end], self._is_alive[first:end] = vectors, True
        self._shown += shown
        self._words += [words] * len(shown)
        self._count, self._alive = end, self._alive + len(vectors)
        self._of_item[item_id] = range(first, end)

    def _make_room(self, more: int) -> None:
        """Move the rows that are alive to new memory, twice what they need; the gallery keeps the old one."""
        kept = [(item_id, *self._item(item_id)) for item_id, rows in self._of_item.items() if rows]
        self._allocate(max(_LEAST_ROOM, 2 * (self._alive + more)))
        for item in kept:
            self._append(*item)
