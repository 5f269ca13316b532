"""A bundle with the journal's changes over it."""

import logging
import time

import numpy as np

from src.contracts.preprocessing import ImageError
from src.index.journal import Change, Journal
from src.search.changed_gallery import ChangedGallery
from src.search.changes import Changes
from src.search.gallery import Gallery
from src.search.searcher import Searcher

__all__ = ["Layer", "embed_picture"]

_TOLERANCE = 5e-4

_log = logging.getLogger(__name__)


class Layer:
    """Applies the journal to one bundle. One thread at a time calls `catch_up`; any thread reads `gallery`.

    Layers whose encoder and arithmetic have the same key, `made_by`, share embeddings.
    """

    def __init__(self, searcher: Searcher, journal: Journal, *, made_by: str, changes_after: int) -> None:
        """Apply nothing yet; `changes_after` is the number up to which the bundle has the changes."""
        self.made_by = made_by
        assert isinstance(searcher.gallery, Gallery), "the changes of a Milvus collection are not the journal's"
        self.changes = Changes(searcher.gallery, dim=searcher.dim, jpeg=journal.thumbnail)
        self._searcher, self._journal = searcher, journal
        self._changes_after = self._applied = changes_after

    def gallery(self) -> ChangedGallery:
        """The items as they are now; what was got stays as it is."""
        return self.changes.gallery()

    def catch_up(self, *, rest: float = 0.0) -> None:
        """Apply what is new in the journal, and make it visible; sleeps `rest` seconds for each second of CPU time.

        An item whose pictures this encoder cannot embed stays as it was, and is logged. Raises as `open_layer`.
        """
        for change in self._journal.changes(self._applied):
            began = time.thread_time()
            try:
                self._apply(change)
            except ImageError as error:
                bundle_id = self._searcher.bundle.bundle_id[:12]
                _log.error("bundle %s: item %r stays as it was: %s", bundle_id, change.item_id, error)
            self._applied = change.number
            time.sleep(rest * (time.thread_time() - began))
        self.changes.publish()

    def embed_picture(self, data: bytes) -> np.ndarray:
        """See the function."""
        return embed_picture(self._searcher, data)

    def _apply(self, change: Change) -> None:
        patched = {name: value for name, (number, value) in change.patched.items() if number > self._changes_after}
        if change.whole <= self._changes_after:
            self.changes.patch(change.item_id, patched)
        elif change.kind == "delete":
            self.changes.delete(change.item_id)
        elif vectors := self._vectors(change.item_id):  # None: it was deleted since, which is the next change.
            self.changes.put(change.item_id, vectors, {**change.attributes, **patched})

    def _vectors(self, item_id: str) -> dict[str, np.ndarray]:
        vectors, made = {}, {}
        for image_id, kept in self._journal.vectors(item_id, self.made_by).items():
            if kept is not None and _is_unit(kept):
                vectors[image_id] = kept
            elif (data := self._journal.picture(image_id)) is not None:
                vectors[image_id] = made[image_id] = self.embed_picture(data)
        if made:
            self._journal.keep_embeddings(self.made_by, made)
        return vectors


def embed_picture(searcher: Searcher, data: bytes) -> np.ndarray:
    """Embed an image file: float32 of shape (dim,), L2-normalised; raises `ImageError`."""
    vector: np.ndarray = searcher.embed_pixels(searcher.pixels(data)[None])[0]
    if not _is_unit(vector):
        raise ImageError("the encoder has no usable embedding for this image")
    return vector


def _is_unit(vector: np.ndarray) -> bool:
    # NaN is not.
    return abs(float(np.linalg.norm(vector)) - 1) <= _TOLERANCE
