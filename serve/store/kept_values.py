"""What SQLite has told, for as long as nobody has written to it since."""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Known", "KeptValues"]

T = TypeVar("T")
_MOST = 65_536


class Known(NamedTuple, Generic[T]):
    """What need not be asked for.

    Attributes:
        values: by item; items that the database does not have are left out.
        unknown: the items to ask for.
        version: of the database; None where nothing is to be kept.
    """

    values: dict[str, T]
    unknown: list[str]
    version: int | None


class KeptValues(Generic[T]):
    """Values by item, of one version of a database file, 65,536 at most. One thread uses it.

    A question to SQLite costs a search two changes of threads and one of the interpreter's lock for each row; whether
    anything was written costs next to nothing: `PRAGMA data_version` of a connection changes when another one, of any
    process, has committed (sqlite.org/pragma.html). Where it would have to wait for a lock, nothing is known.
    """

    def __init__(self, database: Path | None) -> None:
        """Open nothing yet.

        Args:
            database: the file, which may not be there yet; None: keep nothing.
        """
        self._uri = None if database is None else database.absolute().as_uri() + "?mode=ro"
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        self._values: dict[str, T | None] = {}

    def known(self, item_ids: Iterable[str]) -> Known[T]:
        """What is known of items now."""
        version = self._read_version()
        if version is None or version != self._version:
            self._version, self._values = version, {}
        found = {name: self._values[name] for name in item_ids if name in self._values}
        values = {name: value for name, value in found.items() if value is not None}
        return Known(values, [name for name in item_ids if name not in found], version)

    def keep(self, asked: Known[T], told: Mapping[str, T]) -> None:
        """Keep an answer: what `told` leaves out of `asked.unknown`, the database does not have.

        It may be newer than the version it was asked at, which then is the last time that this version is met; it is
        not kept where the version has changed meanwhile, since it may be older than that.
        """
        if asked.version is None or asked.version != self._version:
            return
        if len(self._values) + len(asked.unknown) > _MOST:
            self._values = {}
        self._values.update((name, told.get(name)) for name in asked.unknown)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read_version(self) -> int | None:
        if self._uri is None:
            return None
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    self._uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False
                )
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:  # No such file yet, or no longer: the question itself will say.
            self.close()
            return None
        return int(version)
