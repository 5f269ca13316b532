"""An engine whose items change: the bundle's encoder over a live index."""

import logging
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from serve.bundle.catalogue import SHOWN
from serve.bundle.engine import Engine
from serve.cache.key import EmbeddingKeys
from serve.live.catalogue import LiveCatalogue
from serve.live.journal import Journal, KeptItem
from src.contracts.bundle import ENCODER
from src.contracts.preprocessing import ImageError, decode
from src.index.live import LiveIndex, LiveSettings, Snapshot

__all__ = ["LiveEngine"]

ATTRIBUTES = tuple(name for name in SHOWN if name not in ("image_id", "item_id"))
"""What an item has beside its images."""

_BLOCK = 65_536
_LEAST_UNIT = 5e-4

_log = logging.getLogger("serve")


class LiveEngine(Engine):
    """Answers from snapshots: `now` is the engine of one request.

    Attributes:
        live: the index; one process writes it.
        made_by: which encoder this is, in which arithmetic: its embeddings are good for bundles that have the same.
    """

    def __init__(self, base: Engine, live: LiveIndex, journal: Journal) -> None:
        """Take over a bundle's engine; its index is not used any longer.

        Args:
            base: of the bundle.
            live: made from it.
            journal: what was changed through the API.
        """
        super().__init__(bundle=base.bundle, encoder=base.encoder, index=live.snapshot(), catalogue=base.catalogue)
        self.live = live
        self.made_by = EmbeddingKeys.of(base.bundle.content, encoder_file=ENCODER, arithmetic=base.runtime).prefix
        self._journal = journal
        self._latest = self._of(live.snapshot())

    @classmethod
    def over(
        cls, base: Engine, state: Path, journal: Journal, *, since: float = 0.0, rest: float = 0.0
    ) -> "LiveEngine":
        """Open a bundle's live index, or make it, and bring it up to the journal.

        Args:
            base: of the bundle.
            state: folder of all live indexes.
            journal: what was changed through the API.
            since: seconds since 1970; changes before it are in the bundle already. Counts for a new bundle only.
            rest: seconds without work after each second of the processor, where another bundle answers meanwhile.

        Raises:
            LookalikeError: another process has it open, it is damaged, or a kept picture cannot be embedded.
        """
        folder = state / f"index-{base.bundle.bundle_id[:32]}"
        if not (folder / "CURRENT").exists():
            _create(base, folder)
        engine = cls(base, LiveIndex.open(folder), journal)
        journal.begin(base.bundle.bundle_id, since)
        try:
            engine.catch_up(rest=rest)
        except BaseException:
            engine.close()
            raise
        return engine

    def now(self) -> Engine:
        """The engine of the newest snapshot."""
        snapshot = self.live.snapshot()
        latest = self._latest
        if latest.index is not snapshot:
            latest = self._latest = self._of(snapshot)
        return latest

    def catch_up(self, *, rest: float = 0.0) -> None:
        """Make the changes of the journal that the index does not have. One thread at a time.

        An item of which this encoder makes nothing is left out, and the log says so: it must not stop the others.

        Args:
            rest: seconds without work after each second of the processor.
        """
        last = 0
        for item in self._journal.pending(self.bundle.bundle_id):
            began = time.thread_time()
            self._make_later(item)
            last = item.change
            time.sleep(rest * (time.thread_time() - began))
        if last:
            self._journal.applied(self.bundle.bundle_id, last)

    def _make_later(self, item: KeptItem) -> None:
        try:
            image_ids, vectors = self._vectors(item)
        except ImageError as error:
            _log.error("bundle %s: item %r is left out: %s", self.bundle.bundle_id[:12], item.item_id, error)
            return
        self.make(item, image_ids, vectors)

    def make(self, item: KeptItem, image_ids: list[str], vectors: np.ndarray) -> None:
        """Make one change; it is on the disk and visible when this returns.

        Args:
            item: the change.
            image_ids: of its pictures, where it is a `put`.
            vectors: float32 of shape (pictures, dim), their embeddings.
        """
        snapshot = self.live.snapshot()
        rows = snapshot.rows_of_item(item.item_id)
        if item.kind == "delete":
            self.live.delete_items([item.item_id])
        elif item.kind == "put":
            attributes = {name: [item.attributes.get(name)] * len(image_ids) for name in ATTRIBUTES}
            self.live.upsert(image_ids, [item.item_id] * len(image_ids), vectors, attributes)
            self.live.delete([name for name in snapshot.image_ids(rows) if name is not None and name not in image_ids])
        elif len(rows):
            known = snapshot.rows.take(pa.array(rows)).to_pydict()
            told = {name: [value] * len(rows) for name, value in item.attributes.items()}
            attributes = {name: told.get(name, known[name]) for name in ATTRIBUTES}
            self.live.upsert(known["image_id"], known["item_id"], snapshot.vectors(rows), attributes)

    def embed_picture(self, data: bytes) -> np.ndarray:
        """Embed an image file: float32 of shape (dim,); raises `ImageError`."""
        vector: np.ndarray = self.embed(self.resize(decode(data))[None])[0]
        # As `LiveIndex.upsert` asks for them; written so that NaN is refused as well.
        if not abs(float(np.linalg.norm(vector)) - 1) <= _LEAST_UNIT:
            raise ImageError("the encoder has no usable embedding for this image")
        return vector

    def close(self) -> None:
        """Let another process write the index."""
        self.live.close()

    def _vectors(self, item: KeptItem) -> tuple[list[str], np.ndarray]:
        pictures = self._journal.pictures(item.item_id) if item.kind == "put" else []
        known = self._journal.embeddings(item.item_id, self.made_by)
        made = {kept.image_id: self.embed_picture(kept.picture) for kept in pictures if kept.image_id not in known}
        self._journal.keep_embeddings(self.made_by, list(made), np.array(list(made.values())))
        vectors = [(known | made)[kept.image_id] for kept in pictures]
        return [kept.image_id for kept in pictures], np.array(vectors, np.float32).reshape(
            len(pictures), self.live.snapshot().dim
        )

    def _of(self, snapshot: Snapshot) -> Engine:
        catalogue = LiveCatalogue(snapshot=snapshot, base=self.catalogue, journal=self._journal)
        return Engine(bundle=self.bundle, encoder=self.encoder, index=snapshot, catalogue=catalogue)


def _create(base: Engine, folder: Path) -> None:
    table = base.catalogue.table
    rows = len(base.index)
    vectors = np.empty((rows, base.bundle.content["dim"]), np.float32)
    for start in range(0, rows, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, rows))
        vectors[block] = base.index.vectors(block)
    layout = base.bundle.content["index"]["layout"]
    settings = LiveSettings(layout=layout if layout.startswith("hnsw") else "auto")
    attributes = {name: table[name].combine_chunks().cast(_stored_as(table[name].type)) for name in ATTRIBUTES}
    LiveIndex.create(
        folder,
        image_ids=table["image_id"].to_pylist(),
        item_ids=table["item_id"].to_pylist(),
        vectors=vectors,
        attributes=attributes,
        settings=settings,
    ).close()
    _log.info("bundle %s: live index made in %s", base.bundle.bundle_id[:12], folder)


def _stored_as(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(kind) else kind
