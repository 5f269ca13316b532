"""The journal of changed items: one SQLite file, the only durable layer of live changes.

An item has one row, its last change. Its pictures are kept as they came, so that a bundle with another encoder can
embed them again, and with their last embedding, so that a bundle with the same encoder need not.
"""

import hashlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.contracts.errors import ConfigError, JournalError
from src.index.folder_lock import FolderLock

__all__ = ["Change", "Journal", "Picture", "picture_id"]

_FORMAT = 2
_SETTINGS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -256"
_TABLES = f"""
BEGIN;
CREATE TABLE items (change INTEGER PRIMARY KEY AUTOINCREMENT, item_id TEXT UNIQUE, state TEXT, checksum INTEGER);
CREATE TABLE pictures (image_id TEXT PRIMARY KEY, item_id TEXT, place INTEGER, thumbnail BLOB, picture BLOB);
CREATE INDEX pictures_of_item ON pictures (item_id, place, image_id);
CREATE TABLE embeddings (
    image_id TEXT PRIMARY KEY REFERENCES pictures ON DELETE CASCADE, made_by TEXT, vector BLOB
);
CREATE TABLE bundles (bundle_id TEXT PRIMARY KEY, changes_after INTEGER);
PRAGMA user_version = {_FORMAT};
COMMIT;
"""
_PAGE = 1000
_RESTORE = "restore the state folder from a copy"
_ROOM = "make room on its disk, and send the change again"
_FIXES = {sqlite3.SQLITE_FULL: _ROOM, sqlite3.SQLITE_CORRUPT: _RESTORE, sqlite3.SQLITE_NOTADB: _RESTORE}


class Picture(NamedTuple):
    """A picture as it came, its key (`picture_id`), its thumbnail (JPEG) and embedding (float32 of shape (dim,))."""

    image_id: str
    data: bytes
    thumbnail: bytes
    vector: np.ndarray


@dataclass(frozen=True)
class Change:
    """What is known of an item, which was last changed by change `number`.

    Attributes:
        kind: `put` or `delete`, whichever was last; `patch` where there was neither.
        whole: number of that `put` or `delete`, or 0.
        attributes: of the `put`, by name.
        patched: number and value of each attribute that was patched since.
    """

    number: int
    item_id: str
    kind: str = "patch"
    whole: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    patched: Mapping[str, tuple[int, Any]] = field(default_factory=dict)


def picture_id(item_id: str, data: bytes) -> str:
    """The key of a picture, which follows from item and content."""
    return f"{item_id}/{hashlib.sha256(data).hexdigest()[:16]}"


class Journal:
    """`journal.sqlite` in a state folder, which one process has open. Safe to call from many threads.

    A change that is returned from is on the disk; one that raises `JournalError` is not there.

    Attributes:
        last_change: number of the last change. Numbers grow by the journal, not by a clock; none is given twice.
    """

    def __init__(self, folder: Path) -> None:
        """Lock the folder, and open or make the file.

        Raises:
            JournalError: the folder is locked or cannot be written; the file is damaged, or has lost changes.
        """
        self._path = folder / "journal.sqlite"
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        self._open = ExitStack()
        try:
            self._folder = FolderLock(folder)
            self._open.callback(self._folder.release)
            with self._errors():
                # The writer is closed last: it then folds the -wal file into the journal.
                self._writing = self._connect()
                self._make_tables()
                self._reading = self._connect()
            found = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'items'")
            self.last_change = int(found[0][0]) if found else 0
            self._folder.check(self.last_change)
        except BaseException:
            self.close()
            raise

    def put(self, item_id: str, attributes: Mapping[str, Any], pictures: Sequence[Picture], *, made_by: str) -> int:
        """Keep an item with all its pictures, which encoder `made_by` embedded; returns the change's number."""
        rows = [(one.image_id, item_id, place, one.thumbnail, one.data) for place, one in enumerate(pictures)]
        with self._transaction(1) as (cursor, number):
            cursor.execute("DELETE FROM pictures WHERE item_id = ?", (item_id,))
            cursor.executemany("INSERT INTO pictures VALUES (?, ?, ?, ?, ?)", rows)
            _keep_embeddings(cursor, made_by, {one.image_id: one.vector for one in pictures})
            _write(cursor, Change(number, item_id, "put", number, attributes))
        return number

    def patch(self, item_id: str, attributes: Mapping[str, Any]) -> int:
        """Keep attributes over those that an item has; returns the change's number."""
        with self._transaction(1) as (cursor, number):
            row = cursor.execute("SELECT * FROM items WHERE item_id = ?", (item_id,)).fetchone()
            known = Change(number, item_id) if row is None else self._of_row(row)
            patched = {**known.patched, **{name: (number, value) for name, value in attributes.items()}}
            _write(cursor, replace(known, number=number, patched=patched))
        return number

    def delete(self, item_id: str) -> int:
        """Keep that an item is gone, and drop its pictures; returns the change's number."""
        with self._transaction(1) as (cursor, number):
            cursor.execute("DELETE FROM pictures WHERE item_id = ?", (item_id,))
            _write(cursor, Change(number, item_id, "delete", number))
        return number

    def changes_after(self, bundle_id: str, given: int | None) -> int:
        """The number up to which a bundle has the changes: the one given, which is kept, else the one kept, else 0."""
        if given is None:
            kept = self._read("SELECT changes_after FROM bundles WHERE bundle_id = ?", bundle_id)
            return int(kept[0][0]) if kept else 0
        if not 0 <= given <= self.last_change:
            fix = "give the number that it was when the bundle's catalogue was read"
            raise ConfigError(f"changes_after={given}: the last change is {self.last_change}; {fix}")
        with self._transaction() as (cursor, _):
            cursor.execute("INSERT OR REPLACE INTO bundles VALUES (?, ?)", (bundle_id, given))
        return given

    def changes(self, after: int) -> Iterator[Change]:
        """The items that were changed after a change, in the order of their last changes."""
        while rows := self._read("SELECT * FROM items WHERE change > ? ORDER BY change LIMIT ?", after, _PAGE):
            yield from map(self._of_row, rows)
            after = rows[-1][0]

    def vectors(self, item_id: str, made_by: str) -> dict[str, np.ndarray | None]:
        """An encoder's embeddings of an item's pictures, by image_id in their order; None where it was not kept."""
        vector = "(SELECT vector FROM embeddings WHERE embeddings.image_id = pictures.image_id AND made_by = ?)"
        statement = f"SELECT image_id, {vector} FROM pictures WHERE item_id = ? ORDER BY place"  # noqa: S608
        found = self._read(statement, made_by, item_id)
        return {image_id: None if vector is None else np.frombuffer(vector, "<f4") for image_id, vector in found}

    def picture(self, image_id: str) -> bytes | None:
        """A picture as it came, or None where it did not come through the API, or is gone."""
        found = self._read("SELECT item_id, picture FROM pictures WHERE image_id = ?", image_id)
        if found and picture_id(*found[0]) != image_id:
            raise JournalError(f"{self._path}: picture {image_id!r} is damaged; {_RESTORE}")
        return bytes(found[0][1]) if found else None

    def thumbnail(self, image_id: str) -> bytes | None:
        """A picture's thumbnail, JPEG, or None as in `picture`."""
        found = self._read("SELECT thumbnail FROM pictures WHERE image_id = ?", image_id)
        return bytes(found[0][0]) if found else None

    def keep_embeddings(self, made_by: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Keep an encoder's embeddings of pictures, by image_id, in place of another's; not if that fails just now."""
        with suppress(JournalError), self._transaction() as (cursor, _):
            _keep_embeddings(cursor, made_by, vectors)

    def close(self) -> None:
        """Close the file, and let another process in."""
        self._open.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=5)
        self._open.enter_context(closing(connection)).executescript(_SETTINGS)
        return connection

    def _make_tables(self) -> None:
        if self._writing.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
            self._writing.executescript(_TABLES)
        found = self._writing.execute("PRAGMA user_version").fetchone()[0]
        if found != _FORMAT:
            raise JournalError(f"{self._path}: format {found}, not {_FORMAT}, of another version; give another folder")

    def _of_row(self, row: tuple[int, str, str, int]) -> Change:
        number, item_id, state, checksum = row
        if _checksum(number, item_id, state) != checksum:
            raise JournalError(f"{self._path}: change {number} is damaged; {_RESTORE}")
        kind, whole, attributes, patched = json.loads(state)
        return Change(number, item_id, kind, whole, attributes, {name: (at, to) for name, (at, to) in patched.items()})

    def _read(self, statement: str, *values: str | int) -> list[Any]:
        with self._read_lock, self._errors():
            return self._reading.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self, changes: int = 0) -> Iterator[tuple[sqlite3.Cursor, int]]:
        with self._write_lock, self._errors():
            cursor, number = self._writing.cursor(), self.last_change + changes
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor, number
                cursor.execute("COMMIT")
            except BaseException:
                if self._writing.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            self.last_change = number
            self._folder.acknowledge(number)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            fix = _FIXES.get(code, "the folder must be on a local disk that can be written and has room")
            raise JournalError(f"{self._path}: {error}; {fix}") from None


def _keep_embeddings(cursor: sqlite3.Cursor, made_by: str, vectors: Mapping[str, np.ndarray]) -> None:
    cursor.executemany(
        "INSERT OR REPLACE INTO embeddings SELECT image_id, ?, ? FROM pictures WHERE image_id = ?",
        [(made_by, vector.astype("<f4").tobytes(), image_id) for image_id, vector in vectors.items()],
    )


def _write(cursor: sqlite3.Cursor, change: Change) -> None:
    state = json.dumps([change.kind, change.whole, dict(change.attributes), dict(change.patched)])
    row = (change.number, change.item_id, state)
    cursor.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", (*row, _checksum(*row)))


def _checksum(number: int, item_id: str, state: str) -> int:
    return zlib.crc32(f"{number}\n{item_id}\n{state}".encode())
