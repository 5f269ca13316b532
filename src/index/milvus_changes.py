"""Changes of items, written to Milvus: the newest version wins, and nothing that was deleted returns.

Who writes: the service's `PUT` and `DELETE /v1/items`, and the consumer of the change stream; any number of processes.
The version comes with each change from the one sequence that they share.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from src.contracts.errors import LookalikeError, TableError
from src.index.change_store import ChangeStore, ItemChange
from src.index.filters import AnyOf
from src.index.milvus_catalogue import DERIVED, ENCODER_ID, derived, from_json
from src.index.milvus_index import MilvusIndex
from src.index.vector_digest import vector_hashes

__all__ = ["MilvusChanges"]

log = logging.getLogger(__name__)

_BATCH = 200


class MilvusChanges:
    """A collection or an alias, and the store that says what must be in it. Safe to use from many threads."""

    def __init__(self, store: ChangeStore, index: MilvusIndex) -> None:
        """Write nothing yet.

        Args:
            store: the truth.
            index: what follows it; a collection as exports make it.

        Raises:
            LookalikeError: a collection without the columns of an export.
        """
        missing = sorted({*DERIVED} - {*index.columns})
        if missing:
            raise LookalikeError(
                f"collection `{index.collection}` has no column {', '.join(missing)}; make it with export.py"
            )
        self._store, self._index = store, index
        self._encoder_id = index.properties.get(ENCODER_ID, "")

    def write(self, changes: Sequence[ItemChange], *, onto: Mapping[str, int] | None = None) -> list[bool]:
        """Keep changes, and give Milvus those that are the newest of their items.

        A change that is returned from is durable. Milvus may not have it yet: where it is away, `repair` follows, and
        `ChangeStore.waits_for` says so until then.

        Args:
            changes: in any order.
            onto: see `ChangeStore.accept`.

        Returns:
            Of each, whether it is the newest of its item; False where a newer one is known, which stays.

        Raises:
            JournalError: the store is away or refuses; nothing was kept.
            TableError: a change that does not suit the collection; nothing was kept.
        """
        for change in changes:
            self._check(change)
        self._index.check(*_Rows.of([change for change in changes if not change.deleted], self._index))
        accepted = self._store.accept(changes, onto=onto)
        names = sorted({change.item_id for change, newest in zip(changes, accepted, strict=True) if newest})
        for start in range(0, len(names), _BATCH):
            self._apply(names[start : start + _BATCH])
        return accepted

    def repair(self) -> int:
        """Give Milvus all that it lacks, also what others left behind; returns how many items were written.

        To be called now and then by every writer: each takes what nobody else has locked.
        """
        written = 0
        while count := self._apply(None):
            written += count
        return written

    def replay(self, after: int) -> int:
        """Write all changes after a version to this collection, whatever the store says of it; returns how many items.

        For a new collection before its alias is moved; call `ChangeStore.retarget` and `repair` when it is. What
        another encoder embedded is left out.
        """
        written = 0
        for page in self._store.changes(after, most=_BATCH):
            fitting = [change for change in page if change.deleted or change.encoder_id == self._encoder_id]
            self._write(fitting)
            written += len(fitting)
        return written

    def _check(self, change: ItemChange) -> None:
        what = f"item {change.item_id!r}"
        if change.version < 1:
            raise TableError(f"{what}: `version={change.version}`: versions of changes begin with 1")
        if change.deleted:
            return
        if not change.vectors:
            raise TableError(f"{what}: it has no image; give its vectors, or delete it")
        if change.encoder_id != self._encoder_id:
            raise TableError(
                f"{what}: encoder {change.encoder_id!r} embedded it, the collection's is {self._encoder_id!r}"
            )
        ours = sorted({*change.attributes} & {*DERIVED})
        if ours:
            raise TableError(f"{what}: {', '.join(ours)} follow from the change; leave them out")

    def _apply(self, item_ids: Sequence[str] | None) -> int:
        try:
            with self._store.locked(item_ids, encoder_id=self._encoder_id, most=_BATCH) as changes:
                self._write(changes)
        except LookalikeError as error:
            log.warning("changes wait until Milvus can be given them: %s", error)
            return 0
        return len(changes)

    def _write(self, changes: Sequence[ItemChange]) -> None:
        """Upsert what is there, then delete what is not: an item that is replaced is never without images."""
        if not changes:
            return
        rows = _Rows.of([change for change in changes if not change.deleted], self._index)
        if rows.image_ids:
            self._index.upsert(*rows)
        items = AnyOf("item_id", frozenset(change.item_id for change in changes))
        found = self._index.rows([items], consistency="Strong")
        gone = sorted({row["image_id"] for row in found} - {*rows.image_ids})
        if gone:
            self._index.delete(gone)


class _Rows(NamedTuple):
    """What `MilvusIndex.upsert` takes."""

    image_ids: list[str]
    item_ids: list[str]
    vectors: np.ndarray
    attributes: dict[str, list[Any]]

    @classmethod
    def of(cls, changes: Sequence[ItemChange], index: MilvusIndex) -> "_Rows":
        images = [(change, image_id, vector) for change in changes for image_id, vector in change.vectors.items()]
        wrong = [image_id for _, image_id, vector in images if np.shape(vector) != (index.dim,)]
        if wrong:
            raise TableError(f"image {wrong[0]!r}: its vector is not of shape ({index.dim},)")
        vectors = np.stack([vector for _, _, vector in images]) if images else np.empty((0, index.dim))
        vectors = vectors.astype(np.float32)
        attributes: dict[str, list[Any]] = {}
        full = [
            {**change.attributes, **derived(change.item_id, change.attributes, change.version)}
            for change, _, _ in images
        ]
        for name in sorted({name for one in full for name in one}):
            values = [one.get(name) for one in full]
            kind = index.columns[name].type if name in index.columns else None
            try:
                attributes[name] = values if kind is None else from_json(values, kind)
            except ValueError as error:
                raise TableError(f"column {name}: {error}; write dates and times as ISO 8601") from None
        attributes["vector_hash"] = vector_hashes(vectors).tolist()
        return cls(
            [image_id for _, image_id, _ in images], [change.item_id for change, _, _ in images], vectors, attributes
        )
