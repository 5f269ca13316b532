"""`words.sqlite`: the words of each item, for a search without a picture (SQLite's FTS5, ranked by BM25)."""

import re
import sqlite3
import unicodedata
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from src.contracts.errors import BundleError
from src.search.items import Items

__all__ = ["MOST_RANKED", "WORD_COLUMNS", "Words", "read_tokens", "read_words", "write_words"]

WORD_COLUMNS = ("title", "name", "description", "brand", "color", "category")
_READ = 16
"""Words of a query that are read."""
_CONNECTIONS = 4
"""Searches at once; each connection has a cache of its own."""
_SEARCH = """
SELECT rowid FROM (SELECT rowid, bm25(words) AS score FROM words WHERE words MATCH ? LIMIT ?)
ORDER BY score, rowid LIMIT ?
"""
MOST_RANKED = 10_000
"""Items that are ranked: to rank all that have a frequent word would take seconds."""
_PREFIX_BYTES = 3
"""Length in UTF-8 from which the last word may be the beginning of one: shorter ones begin too many."""
_BLOCK = 65_536


class Words:
    """The opened file. Safe to use from many threads at once.

    Attributes:
        count: how many items it has.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; it may be replaced by a rename meanwhile, never written to.

        Raises:
            BundleError: no such file, or not one of these.
        """
        self._free: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        weakref.finalize(self, _close, self._free)
        try:
            for _ in range(_CONNECTIONS):
                self._free.put(connection := _connected(path))
            self.count = int(connection.execute("SELECT count(*) FROM words_docsize").fetchone()[0])
        except sqlite3.Error as error:
            raise BundleError(f"{path}: not a readable word index ({error}); export the bundle again") from None

    def search(self, text: str, limit: int) -> list[int]:
        """The items that have all words of a text.

        Where there are fewer than `limit` of them, a last word of three letters or more may also be the beginning of
        one. Of more than 10,000 such items, the first 10,000 are ranked.

        Args:
            text: what somebody typed; what SQLite takes for operators or quotes are characters like any other.
            limit: items wanted.

        Returns:
            The first row of each item, best first; equally good ones in the order of their rows. Nothing where the
            text has no word.
        """
        words = read_words(text)
        if not words or limit < 1:
            return []
        # Quoted, FTS5 reads none of them as an operator.
        query = " ".join(f'"{word}"' for word in words)
        connection = self._free.get()
        try:
            found = connection.execute(_SEARCH, (query, MOST_RANKED, limit)).fetchall()
            if len(found) < limit and len(words[-1].encode()) >= _PREFIX_BYTES:
                found = connection.execute(_SEARCH, (query + "*", MOST_RANKED, limit)).fetchall()
        finally:
            self._free.put(connection)
        return [row for (row,) in found]


def write_words(path: Path, items: Items) -> None:
    """Write `words.sqlite`; equal items give equal bytes.

    Args:
        path: file to write; must not exist.
        items: of their columns title, name, description, brand, color and category, those that they have are
            searched. An item's words are those of its first row.
    """
    columns = [name for name in WORD_COLUMNS if name in items.table.column_names]
    listed, marks = ", ".join(columns), ", ".join("?" * (1 + len(columns)))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # The file is new, and useless if this fails: it needs no journal.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            f"CREATE VIRTUAL TABLE words USING fts5({listed}, content='', tokenize='unicode61 remove_diacritics 2')"
        )
        connection.execute("BEGIN")
        # The names are those of `WORD_COLUMNS`.
        connection.executemany(f"INSERT INTO words(rowid, {listed}) VALUES ({marks})", _rows(items, columns))  # noqa: S608
        connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        connection.execute("COMMIT")
        connection.execute("VACUUM")
    finally:
        connection.close()


def _rows(items: Items, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    first = np.sort(items.first_rows())
    for start in range(0, len(first), _BLOCK):
        block = first[start : start + _BLOCK]
        found = items.table.select(columns).take(pa.array(block))
        yield from zip(block.tolist(), *(column.to_pylist() for column in found.columns), strict=True)


def _connected(path: Path) -> sqlite3.Connection:
    # Immutable: nobody writes to a bundle's files, so that SQLite neither locks nor looks for a journal.
    address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    connection.execute(f"PRAGMA mmap_size = {path.stat().st_size}")
    connection.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchall()
    return connection


def _close(connections: SimpleQueue[sqlite3.Connection]) -> None:
    while not connections.empty():
        connections.get().close()


def read_words(text: str) -> list[str]:
    """The words of a text: what stands between spaces and has a letter or a digit; quotes are left out."""
    # A lone surrogate is no Unicode, and SQLite ends a text at a NUL.
    clean = text.encode("utf-8", "replace").decode().replace("\0", " ").replace('"', " ")
    return [word for word in clean.split() if any(map(str.isalnum, word))][:_READ]


def read_tokens(text: str) -> list[str]:
    """The words of a text as FTS5 compares them: letters and digits, in lower case, Latin ones without diacritics."""
    plain = re.sub("([A-Za-z])[\u0300-\u036f]+", r"\1", unicodedata.normalize("NFD", text))
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", plain).lower())
