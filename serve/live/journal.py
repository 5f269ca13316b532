"""What was changed through the API, bundle by bundle: the truth that indexes are brought up to.

One SQLite file. An item has one row, its last change; its pictures are kept as they came, so that a bundle with another
encoder can embed them again, and with their last embedding, so that one with the same encoder need not. A change is on
the disk when the call returns.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from src.contracts.errors import BundleError

__all__ = ["Journal", "KeptItem", "KeptPicture"]

_TABLES = """
CREATE TABLE IF NOT EXISTS items (
    item_id TEXT PRIMARY KEY, change INTEGER NOT NULL UNIQUE, at REAL NOT NULL, kind TEXT NOT NULL,
    attributes TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (
    image_id TEXT PRIMARY KEY, item_id TEXT NOT NULL, place INTEGER NOT NULL, picture BLOB NOT NULL,
    thumbnail BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS pictures_of_item ON pictures (item_id, place);
CREATE TABLE IF NOT EXISTS embeddings (
    image_id TEXT PRIMARY KEY REFERENCES pictures ON DELETE CASCADE, made_by TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS bundles (bundle_id TEXT PRIMARY KEY, applied INTEGER NOT NULL, since REAL NOT NULL);
"""


@dataclass(frozen=True)
class KeptPicture:
    """A picture that came through the API.

    Attributes:
        image_id: its key.
        picture: the file as it came.
        thumbnail: JPEG.
    """

    image_id: str
    picture: bytes = field(repr=False)
    thumbnail: bytes = field(repr=False)


@dataclass(frozen=True)
class KeptItem:
    """The last change of an item.

    Attributes:
        item_id: the item.
        change: number of the change; later ones have higher numbers.
        kind: `put` (the whole item), `patch` (attributes over the catalogue's) or `delete`.
        attributes: by name.
    """

    item_id: str
    change: int
    kind: str
    attributes: Mapping[str, Any]


class Journal:
    """The file. One process writes; safe to call from many threads."""

    def __init__(self, path: Path) -> None:
        """Open or make it.

        Raises:
            BundleError: the file is damaged, or another process writes it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._writing = _connect(path)
            self._writing.executescript(_TABLES)
            self._reading = _connect(path)
            # Of its own: a thumbnail does not wait for a bundle that reads all changes.
            self._showing = _connect(path)
            # Not synced: the marks and embeddings that it keeps may be lost.
            self._marking = _connect(path, synchronous="NORMAL")
        except sqlite3.DatabaseError as error:
            raise BundleError(f"{path}: not a readable journal ({error}); restore it from a copy") from None
        self._reading_lock = threading.Lock()
        self._showing_lock = threading.Lock()
        self._marking_lock = threading.Lock()

    def put(self, item_id: str, attributes: Mapping[str, Any], pictures: Sequence[KeptPicture]) -> int:
        """Note an item with all its pictures; returns the change's number."""
        with self._transaction() as cursor:
            change = self._note(cursor, item_id, "put", attributes)
            cursor.execute("DELETE FROM pictures WHERE item_id = ?", (item_id,))
            cursor.executemany(
                "INSERT INTO pictures VALUES (?, ?, ?, ?, ?)",
                [(kept.image_id, item_id, place, kept.picture, kept.thumbnail) for place, kept in enumerate(pictures)],
            )
            return change

    def patch(self, item_id: str, attributes: Mapping[str, Any]) -> int:
        """Note attributes over what an item has; returns the change's number."""
        with self._transaction() as cursor:
            found = cursor.execute("SELECT kind, attributes FROM items WHERE item_id = ?", (item_id,)).fetchone()
            kind, known = ("patch", {}) if found is None or found[0] == "delete" else (found[0], json.loads(found[1]))
            return self._note(cursor, item_id, kind, {**known, **attributes})

    def delete(self, item_id: str) -> int:
        """Note that an item is gone; returns the change's number."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM pictures WHERE item_id = ?", (item_id,))
            return self._note(cursor, item_id, "delete", {})

    def begin(self, bundle_id: str, since: float) -> None:
        """Note from when on changes are newer than a bundle; a bundle that is known is left as it is."""
        with self._transaction() as cursor:
            cursor.execute("INSERT OR IGNORE INTO bundles VALUES (?, 0, ?)", (bundle_id, since))

    def pending(self, bundle_id: str) -> Iterator[KeptItem]:
        """The changes that a bundle's index may not have, in their order."""
        with self._reading_lock:
            rows = self._reading.execute(
                "SELECT item_id, change, kind, attributes FROM items, bundles "
                "WHERE bundle_id = ? AND change > applied AND at >= since ORDER BY change",
                (bundle_id,),
            ).fetchall()
        for item_id, change, kind, attributes in rows:
            yield KeptItem(item_id, change, kind, json.loads(attributes))

    def applied(self, bundle_id: str, change: int) -> None:
        """Note that a bundle's index has all changes up to one. Lost in a crash, they are applied once more."""
        with self._marking_lock:
            self._marking.execute(
                "UPDATE bundles SET applied = max(applied, ?) WHERE bundle_id = ?", (change, bundle_id)
            )

    def pictures(self, item_id: str) -> list[KeptPicture]:
        """An item's pictures, in the order that they came in."""
        with self._reading_lock:
            rows = self._reading.execute(
                "SELECT image_id, picture, thumbnail FROM pictures WHERE item_id = ? ORDER BY place", (item_id,)
            ).fetchall()
        return [KeptPicture(*row) for row in rows]

    def embeddings(self, item_id: str, made_by: str) -> dict[str, np.ndarray]:
        """What an encoder made of an item's pictures: float32 arrays by image_id; those that were kept.

        Args:
            item_id: the item.
            made_by: which encoder, as `keep_embeddings` was told.
        """
        with self._reading_lock:
            rows = self._reading.execute(
                "SELECT image_id, vector FROM embeddings JOIN pictures USING (image_id) "
                "WHERE item_id = ? AND made_by = ?",
                (item_id, made_by),
            ).fetchall()
        return {image_id: np.frombuffer(vector, "<f4") for image_id, vector in rows}

    def keep_embeddings(self, made_by: str, image_ids: Sequence[str], vectors: np.ndarray) -> None:
        """Keep what an encoder made of pictures, in place of what another did.

        Lost in a crash, or where the file cannot be written just now, they are made again.

        Args:
            made_by: which encoder.
            image_ids: of the pictures; those that are gone by now are passed over.
            vectors: float32 of shape (pictures, dim).
        """
        with self._marking_lock, suppress(sqlite3.OperationalError):
            self._marking.executemany(
                "INSERT OR REPLACE INTO embeddings SELECT image_id, ?, ? FROM pictures WHERE image_id = ?",
                [
                    (made_by, vector.astype("<f4").tobytes(), image_id)
                    for image_id, vector in zip(image_ids, vectors, strict=True)
                ],
            )

    def thumbnail(self, image_id: str) -> bytes | None:
        """A picture's thumbnail, JPEG, or None where it did not come through the API."""
        with self._showing_lock:
            row = self._showing.execute("SELECT thumbnail FROM pictures WHERE image_id = ?", (image_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close the file."""
        for connection in (self._writing, self._reading, self._showing, self._marking):
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            cursor = self._writing.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._writing.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    def _note(self, cursor: sqlite3.Cursor, item_id: str, kind: str, attributes: Mapping[str, Any]) -> int:
        change = int(cursor.execute("SELECT coalesce(max(change), 0) + 1 FROM items").fetchone()[0])
        cursor.execute(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)",
            (item_id, change, time.time(), kind, json.dumps(attributes)),
        )
        return change


def _connect(path: Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    # KiB. Pictures are seldom read twice; where they are, the system's cache has them.
    connection.execute("PRAGMA cache_size = -256")
    return connection
