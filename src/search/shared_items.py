"""Changes of items in a Milvus collection that replicas share: durable in SQL, then written to Milvus.

A change gets its version from the one sequence; of two changes of an item the greater version wins, wherever and in
whatever order they are written. What was accepted is durable, and Milvus follows: at once, or, where it is away, by the
repair that every replica runs.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from src.contracts.errors import ConfigError, JournalError, LookalikeError
from src.index.change_store import NEVER, ChangeStore, ItemChange
from src.index.filters import AnyOf
from src.index.item_versions import ItemVersions
from src.index.milvus_catalogue import DERIVED
from src.index.milvus_changes import MilvusChanges
from src.index.milvus_scan import SCAN_KEY
from src.search.gallery import UnknownItemError
from src.search.layer import embed_picture
from src.search.live_items import Written, embedded_pictures
from src.search.milvus_gallery import MilvusGallery
from src.search.searcher import Searcher
from src.search.shared_pictures import SharedPictures

__all__ = ["SharedItems", "SharedStore"]

_MOST_ID_BYTES = 480
"""Of an item's id in UTF-8: Milvus keeps 512 bytes, and an image's id is its item's and 17 more."""
_TRIES = 5


class SharedStore:
    """The database that replicas share.

    Attributes:
        changes: the newest change of each item.
        versions: the sequence.
        pictures: of changed items.
    """

    def __init__(self, url: str) -> None:
        """Connect, and make what is not there; raises `ConfigError`, and `JournalError` where it is away."""
        self.changes = ChangeStore(re.sub("^postgres(ql)?://", "postgresql+psycopg://", url))
        self.versions, self.pictures = ItemVersions(self.changes), SharedPictures(self.changes)

    def known(self, item_ids: Sequence[str]) -> dict[str, ItemChange]:
        """See `ChangeStore.newest`."""
        return self.changes.newest(item_ids)

    def close(self) -> None:
        """Close all connections."""
        self.changes.close()


class SharedItems:
    """Changes the items of one collection. Any number of threads and processes may; see `LiveItems` for the calls."""

    def __init__(
        self, searcher: Searcher, store: SharedStore, *, on_change: Callable[[str, float], object] = lambda *_: None
    ) -> None:
        """Write nothing yet; `on_change` gets the kind of each change that is visible, and its seconds until then."""
        gallery = searcher.gallery
        if not isinstance(gallery, MilvusGallery):
            raise ConfigError(
                f"bundle {searcher.bundle.root}: its vectors are not in Milvus, which changes are shared by"
            )
        self._searcher, self._store, self._index, self._on_change = searcher, store, gallery.index, on_change
        self._changes = MilvusChanges(store.changes, gallery.index)
        self._encoder_id = str(searcher.bundle.content["encoder_id"])

    def repair(self) -> int:
        """Give Milvus what it lacks; see `MilvusChanges.repair`."""
        return self._changes.repair()

    def put(self, item_id: str, files: Sequence[bytes], attributes: Mapping[str, Any], version: int = 0) -> Written:
        """Add an item, or replace all of it: what is left out is null. Blocks.

        Args:
            item_id: the item.
            files: its images, at least one.
            attributes: its other columns.
            version: from the sequence; 0 takes a new one. Sent again with the same version, it changes nothing.

        Raises:
            LookalikeError: a file is no image, or the change cannot be kept; nothing was changed.
        """
        started = time.perf_counter()
        if len(item_id.encode()) > _MOST_ID_BYTES:
            raise LookalikeError(f"item {item_id[:20]!r}...: its id has over {_MOST_ID_BYTES} bytes; shorten it")
        pictures = embedded_pictures(partial(embed_picture, self._searcher), item_id, files)
        self._store.pictures.keep({picture.image_id: picture.thumbnail for picture in pictures})
        change = ItemChange(
            item_id=item_id,
            version=version or self._store.versions.next(),
            attributes=dict(attributes),
            vectors={picture.image_id: picture.vector for picture in pictures},
            encoder_id=self._encoder_id,
        )
        self._changes.write([change])
        return self._written("put", change, started, list(change.vectors))

    def patch(self, item_id: str, attributes: Mapping[str, Any], version: int = 0) -> Written:
        """Change some attributes of an item; raises `UnknownItemError`, or as `put`."""
        started = time.perf_counter()
        for _ in range(_TRIES):
            known = self._store.known([item_id]).get(item_id) or self._exported(item_id)
            if known is None or known.deleted:
                raise UnknownItemError(f"there is no item {item_id!r}; add it first")
            if known.encoder_id != self._encoder_id:
                raise LookalikeError(f"item {item_id!r} was embedded by {known.encoder_id!r}; put it anew")
            change = replace(
                known, version=version or self._store.versions.next(), attributes={**known.attributes, **attributes}
            )
            if version and version <= known.version:
                break  # It is a part of what is known, or too old.
            if self._changes.write([change], onto={item_id: known.version})[0]:
                break
        else:
            raise JournalError(f"item {item_id!r} was changed {_TRIES} times meanwhile; send the change again")
        return self._written("patch", change, started, [])

    def delete(self, item_id: str, version: int = 0) -> Written:
        """Make an item unfindable; an unknown one is no error. Raises as `put`."""
        started = time.perf_counter()
        change = ItemChange(item_id=item_id, version=version or self._store.versions.next(), deleted=True)
        self._changes.write([change])
        return self._written("delete", change, started, [])

    def _written(self, kind: str, change: ItemChange, started: float, image_ids: list[str]) -> Written:
        visible = self._store.changes.has_arrived(change.item_id, change.version)
        if visible:
            self._on_change(kind, time.perf_counter() - started)
        return Written(image_ids, change.version, visible)

    def _exported(self, item_id: str) -> ItemChange | None:
        """An item that was never changed, as the collection has it."""
        names = [name for name in self._index.columns if name not in {*DERIVED, SCAN_KEY, "image_id", "item_id"}]
        condition = AnyOf("item_id", frozenset({item_id}))
        rows = self._index.rows([condition], columns=[*names, "vector"], consistency="Strong")
        if not rows:
            return None
        attributes = {name: _plain(rows[0][name]) for name in names}
        vectors = {str(row["image_id"]): row["vector"] for row in rows}
        return ItemChange(item_id, NEVER, attributes=attributes, vectors=vectors, encoder_id=self._encoder_id)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return value.isoformat() if hasattr(value, "isoformat") else value
