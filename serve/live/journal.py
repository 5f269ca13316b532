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
from typing import Any

import numpy as np

from serve.live.folder_lock import FolderLock
from src.contracts.errors import ConfigError, JournalError

__all__ = ["Change", "Journal", "Picture", "picture_id"]

_FORMAT = 2
_TABLES = f"""
BEGIN;
CREATE TABLE items (
    change INTEGER PRIMARY KEY AUTOINCREMENT, item_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, whole INTEGER NOT NULL,
    attributes TEXT NOT NULL, patched TEXT NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE pictures (
    image_id TEXT PRIMARY KEY, item_id TEXT NOT NULL, place INTEGER NOT NULL, thumbnail BLOB NOT NULL,
    picture BLOB NOT NULL
) STRICT;
CREATE INDEX pictures_of_item ON pictures (item_id, place);
CREATE TABLE embeddings (
    image_id TEXT PRIMARY KEY REFERENCES pictures ON DELETE CASCADE, made_by TEXT NOT NULL, vector BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE bundles (bundle_id TEXT PRIMARY KEY, changes_after INTEGER NOT NULL) STRICT;
PRAGMA user_version = {_FORMAT};
COMMIT;
"""
_PAGE = 1000
_FIXES = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and send the change again",
    sqlite3.SQLITE_READONLY: "it cannot be written; give a folder on a writable local disk",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; give a folder on a writable local disk",
    sqlite3.SQLITE_IOERR: "the disk fails; check it and its room, then start again",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore the state folder from a copy",
    sqlite3.SQLITE_NOTADB: "it is no journal; restore the state folder from a copy",
}


@dataclass(frozen=True)
class Picture:
    """A picture that came through the API.

    Attributes:
        image_id: its key, see `picture_id`.
        data: the file as it came.
        thumbnail: JPEG.
        vector: float32 of shape (dim,), its embedding.
    """

    image_id: str
    data: bytes = field(repr=False)
    thumbnail: bytes = field(repr=False)
    vector: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Change:
    """What the journal knows of an item since its last `put` or `delete`.

    Attributes:
        number: of the item's last change; later changes have higher numbers.
        item_id: the item.
        kind: `put`, `delete`, or `patch` where there was neither of the two.
        whole: number of that `put` or `delete`; 0 where there was none.
        attributes: of the `put`, by name.
        patched: number and value of each attribute that was patched since.
    """

    number: int
    item_id: str
    kind: str
    whole: int
    attributes: Mapping[str, Any]
    patched: Mapping[str, tuple[int, Any]]


def picture_id(item_id: str, data: bytes) -> str:
    """The key of a picture, which follows from item and content."""
    return f"{item_id}/{hashlib.sha256(data).hexdigest()[:16]}"


class Journal:
    """The file `journal.sqlite` of a state folder. One process has the folder open; safe to call from many threads.

    What returns is synced to the disk; what raises has changed nothing.

    Attributes:
        last_change: number of the last change; numbers grow, and none is given twice, whatever the clock says.
    """

    def __init__(self, folder: Path) -> None:
        """Lock the folder, and open or make the file.

        Raises:
            JournalError: another process has the folder open; it cannot be written; the file is damaged, or has lost
                acknowledged changes.
        """
        self._path = folder / "journal.sqlite"
        self._write_lock, self._read_lock = threading.RLock(), threading.Lock()
        self._open = ExitStack()
        try:
            self._lock = FolderLock(folder)
            self._open.callback(self._lock.release)
            with self._errors():
                # The writer is closed last: it then folds the -wal file into the journal.
                self._writing = self._open.enter_context(closing(_connect(self._path)))
                self._make_tables()
                self._reading = self._open.enter_context(closing(_connect(self._path)))
                found = self._reading.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
            self.last_change = 0 if found is None else int(found[0])
            self._check_acknowledged(folder)
        except BaseException:
            self.close()
            raise

    def put(self, item_id: str, attributes: Mapping[str, Any], pictures: Sequence[Picture], *, made_by: str) -> int:
        """Keep an item with all its pictures, in place of what it was.

        Args:
            item_id: the item.
            attributes: by name; JSON's types.
            pictures: all of them.
            made_by: the encoder of their embeddings.

        Returns:
            The change's number.
        """
        with self._change() as (cursor, number):
            cursor.execute("DELETE FROM pictures WHERE item_id = ?", (item_id,))
            cursor.executemany(
                "INSERT INTO pictures VALUES (?, ?, ?, ?, ?)",
                [(one.image_id, item_id, place, one.thumbnail, one.data) for place, one in enumerate(pictures)],
            )
            _keep_embeddings(cursor, made_by, {one.image_id: one.vector for one in pictures})
            _write(cursor, Change(number, item_id, "put", number, attributes, {}))
        return number

    def patch(self, item_id: str, attributes: Mapping[str, Any]) -> int:
        """Keep attributes over those that an item has; returns the change's number."""
        with self._change() as (cursor, number):
            row = cursor.execute("SELECT * FROM items WHERE item_id = ?", (item_id,)).fetchone()
            known = Change(0, item_id, "patch", 0, {}, {}) if row is None else self._read_change(row)
            patched = {**known.patched, **{name: (number, value) for name, value in attributes.items()}}
            _write(cursor, replace(known, number=number, patched=patched))
        return number

    def delete(self, item_id: str) -> int:
        """Keep that an item is gone, and drop its pictures; returns the change's number."""
        with self._change() as (cursor, number):
            cursor.execute("DELETE FROM pictures WHERE item_id = ?", (item_id,))
            _write(cursor, Change(number, item_id, "delete", number, {}, {}))
        return number

    def changes_after(self, bundle_id: str, given: int | None) -> int:
        """The number up to which a bundle has the changes already, and keep it.

        Args:
            bundle_id: the bundle.
            given: that number; None: what was given for this bundle the last time, or 0.

        Raises:
            ConfigError: there is no such change yet.
        """
        if given is not None:
            if not 0 <= given <= self.last_change:
                raise ConfigError(
                    f"changes_after={given}: the last change is {self.last_change}; give the number that `last_change` "
                    "was when the bundle's catalogue was read"
                )
            with self._transaction() as cursor:
                cursor.execute("INSERT OR REPLACE INTO bundles VALUES (?, ?)", (bundle_id, given))
            return given
        rows = self._read("SELECT changes_after FROM bundles WHERE bundle_id = ?", (bundle_id,))
        return int(rows[0][0]) if rows else 0

    def changes(self, after: int) -> Iterator[Change]:
        """The items that were changed after a change, in the order of their last changes."""
        while rows := self._read("SELECT * FROM items WHERE change > ? ORDER BY change LIMIT ?", (after, _PAGE)):
            yield from map(self._read_change, rows)
            after = rows[-1][0]

    def vectors(self, item_id: str, made_by: str) -> dict[str, np.ndarray | None]:
        """What an encoder made of an item's pictures, by image_id in their order; None where it was not kept."""
        rows = self._read(
            "SELECT pictures.image_id, vector, checksum FROM pictures LEFT JOIN embeddings "
            "ON embeddings.image_id = pictures.image_id AND made_by = ? WHERE item_id = ? ORDER BY place",
            (made_by, item_id),
        )
        return {
            name: np.frombuffer(data, "<f4") if data and zlib.crc32(data) == crc else None for name, data, crc in rows
        }

    def picture(self, image_id: str) -> bytes | None:
        """A picture as it came, or None where it did not come through the API, or is gone."""
        rows = self._read("SELECT item_id, picture FROM pictures WHERE image_id = ?", (image_id,))
        if rows and picture_id(*rows[0]) != image_id:
            raise self._damaged(f"picture {image_id!r}")
        return bytes(rows[0][1]) if rows else None

    def thumbnail(self, image_id: str) -> bytes | None:
        """A picture's thumbnail, JPEG, or None as in `picture`."""
        rows = self._read("SELECT thumbnail FROM pictures WHERE image_id = ?", (image_id,))
        return bytes(rows[0][0]) if rows else None

    def keep_embeddings(self, made_by: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Keep what an encoder made of pictures, by image_id, in place of what another did.

        Where the file cannot be written just now they are not kept, and made again the next time.
        """
        with suppress(JournalError), self._transaction() as cursor:
            _keep_embeddings(cursor, made_by, vectors)

    def close(self) -> None:
        """Close the file, and let another process in."""
        self._open.close()

    def _make_tables(self) -> None:
        if not self._writing.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._writing.executescript(_TABLES)
        found = self._writing.execute("PRAGMA user_version").fetchone()[0]
        if found != _FORMAT:
            raise JournalError(
                f"{self._path}: a journal of format {found}, this version writes {_FORMAT}; give another state folder "
                "and send those changes again that the bundle does not have"
            )

    def _check_acknowledged(self, folder: Path) -> None:
        acknowledged = self._lock.acknowledged
        if self.last_change < acknowledged:
            raise JournalError(
                f"{self._path}: its last change is {self.last_change}, but change {acknowledged} was acknowledged: its "
                "-wal file was removed, or an older copy was put in its place; restore the newest copy of the whole "
                f"folder, or remove {folder / 'lock'} to go on without those changes"
            )
        self._lock.acknowledge(self.last_change)

    def _read_change(self, row: tuple[Any, ...]) -> Change:
        number, item_id, kind, whole, attributes, patched, checksum = row
        if _crc(row[:-1]) != checksum:
            raise self._damaged(f"change {number}")
        pairs = {name: (change, value) for name, (change, value) in json.loads(patched).items()}
        return Change(number, item_id, kind, whole, json.loads(attributes), pairs)

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._read_lock, self._errors():
            return self._reading.execute(statement, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[tuple[sqlite3.Cursor, int]]:
        with self._write_lock:
            number = self.last_change + 1
            with self._transaction() as cursor:
                yield cursor, number
            self.last_change = number
            self._lock.acknowledge(number)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._write_lock, self._errors():
            cursor = self._writing.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._writing.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            fix = _FIXES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "start the service again")
            raise JournalError(f"{self._path}: {error}; {fix}") from None

    def _damaged(self, what: str) -> JournalError:
        return JournalError(f"{self._path}: {what} is damaged; restore the state folder from a copy")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # KiB. Pictures are seldom read twice; where they are, the system's cache has them.
        connection.execute("PRAGMA cache_size = -256")
    except BaseException:
        connection.close()
        raise
    return connection


def _keep_embeddings(cursor: sqlite3.Cursor, made_by: str, vectors: Mapping[str, np.ndarray]) -> None:
    packed = [(made_by, vector.astype("<f4").tobytes(), image_id) for image_id, vector in vectors.items()]
    cursor.executemany(
        "INSERT OR REPLACE INTO embeddings SELECT image_id, ?, ?, ? FROM pictures WHERE image_id = ?",
        [(made_by, data, zlib.crc32(data), image_id) for made_by, data, image_id in packed],
    )


def _write(cursor: sqlite3.Cursor, change: Change) -> None:
    values = (change.number, change.item_id, change.kind, change.whole)
    values = (*values, json.dumps(dict(change.attributes)), json.dumps(dict(change.patched)))
    cursor.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, _crc(values)))


def _crc(values: Sequence[Any]) -> int:
    return zlib.crc32(json.dumps(values).encode())
