"""A bundle with the journal's changes over it."""

import logging
import time

import numpy as np

from serve.live.journal import Change, Journal
from src.contracts.preprocessing import ImageError
from src.search.changed_gallery import ChangedGallery
from src.search.changes import Changes
from src.search.searcher import Searcher

__all__ = ["Layer"]

_LEAST_UNIT = 5e-4

_log = logging.getLogger("serve")


class Layer:
    """Applies the journal to one bundle. One thread at a time calls `catch_up`; any thread may read.

    Attributes:
        made_by: which encoder this is, in which arithmetic; its embeddings are good for layers that have the same.
    """

    def __init__(self, searcher: Searcher, journal: Journal, *, made_by: str, changes_after: int) -> None:
        """Apply nothing yet.

        Args:
            searcher: the bundle.
            journal: the changes.
            made_by: see above.
            changes_after: the bundle has the changes up to this number already.
        """
        self.made_by = made_by
        self._searcher, self._journal = searcher, journal
        self._changes_after = self._applied = changes_after
        self._changes = Changes(searcher.gallery, dim=searcher.dim, thumbnail=journal.thumbnail)

    def gallery(self) -> ChangedGallery:
        """The items as they are now; what was got stays as it is."""
        return self._changes.gallery()

    def check_room(self, item_id: str, images: int) -> None:
        """Raise `LookalikeError` where there is no room for an item of so many images."""
        self._changes.check_room(item_id, images)

    def catch_up(self, *, rest: float = 0.0) -> None:
        """Apply what the journal has and this does not yet have; it is visible when this returns.

        An item whose pictures this encoder cannot embed stays as the bundle has it, and is logged.

        Args:
            rest: seconds to sleep after each second of CPU time, where another bundle answers meanwhile.

        Raises:
            JournalError: the journal cannot be read.
            LookalikeError: more changed images than a layer takes.
        """
        try:
            for change in self._journal.changes(self._applied):
                began = time.thread_time()
                try:
                    self._apply(change)
                except ImageError as error:
                    _log.error(
                        "bundle %s: item %r stays as it was: %s",
                        self._searcher.bundle.bundle_id[:12], change.item_id, error,
                    )  # fmt: skip
                self._applied = change.number
                if rest:
                    time.sleep(rest * (time.thread_time() - began))
        finally:
            self._changes.publish()

    def embed_picture(self, data: bytes) -> np.ndarray:
        """Embed an image file: float32 of shape (dim,); raises `ImageError`."""
        vector: np.ndarray = self._searcher.embed_pixels(self._searcher.pixels(data)[None])[0]
        # Written so that NaN is refused as well.
        if not abs(float(np.linalg.norm(vector)) - 1) <= _LEAST_UNIT:
            raise ImageError("the encoder has no usable embedding for this image")
        return vector

    def _apply(self, change: Change) -> None:
        if change.whole <= self._changes_after:
            newer = {name: value for name, (number, value) in change.patched.items() if number > self._changes_after}
            self._changes.patch(change.item_id, newer)
        elif change.kind == "delete":
            self._changes.delete(change.item_id)
        elif vectors := self._vectors(change.item_id):
            patched = {name: value for name, (_, value) in change.patched.items()}
            self._changes.put(change.item_id, vectors, {**change.attributes, **patched})
        # Without pictures it was deleted since it was read; that change comes next.

    def _vectors(self, item_id: str) -> dict[str, np.ndarray]:
        kept = self._journal.vectors(item_id, self.made_by)
        made = {}
        for image_id in [name for name, vector in kept.items() if vector is None]:
            data = self._journal.picture(image_id)
            if data is None:
                return {}
            made[image_id] = self.embed_picture(data)
        if made:
            self._journal.keep_embeddings(self.made_by, made)
        return {name: made[name] if vector is None else vector for name, vector in kept.items()}
