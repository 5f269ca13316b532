"""The catalogue as it was after one change."""

import numpy as np

from serve.bundle.catalogue import Catalogue
from serve.live.journal import Journal
from src.index.live import Snapshot

__all__ = ["LiveCatalogue"]


class LiveCatalogue(Catalogue):
    """A snapshot's rows, as the engine asks for them. Rows mean something within this snapshot only."""

    def __init__(self, *, snapshot: Snapshot, base: Catalogue, journal: Journal) -> None:
        """Copy nothing.

        Args:
            snapshot: the rows.
            base: of the bundle, whose thumbnails these are.
            journal: pictures that came since.
        """
        self._snapshot = snapshot
        self._base = base
        self._journal = journal
        self.table = snapshot.rows
        self.item_of_row = snapshot.item_of_row
        self.filters = snapshot
        self._shown = {}

    def rows_of_item(self, item_id: str) -> np.ndarray:
        """The rows of an item's images that can be found, int64; none where it is unknown or deleted."""
        return self._snapshot.rows_of_item(item_id)

    def picture(self, row: int) -> bytes:
        """A row's JPEG."""
        image_id = self.image_id(row)
        return self._journal.thumbnail(image_id) or self._base.thumbnail(image_id) or b""

    def thumbnail(self, image_id: str) -> bytes | None:
        """An image's JPEG, or None where there is none, or where it was deleted."""
        if self._snapshot.row_of_image(image_id) is None:
            return None
        return self._journal.thumbnail(image_id) or self._base.thumbnail(image_id)
