"""The truth about changed items, in SQL: of each item the newest version, and how far Milvus has it.

Milvus replaces rows whatever their age. So which of two changes wins is decided here, in one transaction over the
item's row, and Milvus follows while that row is locked (`src.index.milvus_changes`). What was accepted is durable;
where Milvus was away, the item stays pending until a repair has written it.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from src.contracts.errors import ConfigError, JournalError

__all__ = ["NEVER", "ChangeStore", "ItemChange", "metadata"]

NEVER = -1
"""The version of an item that was never changed."""
_POSTGRES = "-c lock_timeout=20000 -c idle_in_transaction_session_timeout=60000"
"""Milliseconds: how long to wait for who writes the same item, and after which a writer that hangs loses its locks."""
_MAKING = 0x6C6F6F6B616C696B
"""A number that nobody else locks."""
_PLACES = 2000
"""Rows that one statement names."""

metadata = sa.MetaData()
_ITEMS = sa.Table(
    "item_changes",
    metadata,
    sa.Column("item_id", sa.String(512), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("attributes", sa.Text, nullable=False),
    sa.Column("images", sa.Text, nullable=False),
    sa.Column("vectors", sa.LargeBinary, nullable=False),
    sa.Column("encoder_id", sa.String(64), nullable=False),
    sa.Column("changed_at", sa.Float(53), nullable=False),
    sa.Column("applied_version", sa.BigInteger, nullable=False),
    # Until then an older write that was given up may still arrive at Milvus; the item is written once more afterwards.
    sa.Column("unsettled_until", sa.Float(53)),
    sa.Index("item_changes_pending", "applied_version", "version"),
    sa.Index("item_changes_unsettled", "unsettled_until"),
)
_FLOOR = sa.Table(
    "item_changes_floor",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class ItemChange:
    """All that is to be known of one item, or that it is gone.

    Attributes:
        item_id: its id.
        version: from the one sequence that all writers share; 1 and more. The greatest wins.
        deleted: whether the item is gone.
        attributes: values by the collection's columns, `image_id` and `item_id` left out; JSON's types.
        vectors: embeddings of its images by image_id, float32 of shape (dim,), L2-normalised.
        encoder_id: of what embedded them; empty where it is deleted.
    """

    item_id: str
    version: int
    deleted: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    encoder_id: str = ""


class ChangeStore:
    """Two tables of a database that SQLAlchemy can reach: PostgreSQL for several processes, SQLite for one machine.

    Safe to use from many threads and processes.

    Attributes:
        engine: its connections, for tables beside its own.
    """

    def __init__(self, url: str, *, settle: float = 30.0) -> None:
        """Connect, and make the tables where they are not there.

        Args:
            url: of the database.
            settle: seconds after which a write that was given up no longer arrives at Milvus: more than the timeout of
                the writers' calls.

        Raises:
            ConfigError: neither PostgreSQL nor SQLite.
            JournalError: the database is away or refuses.
        """
        self.settle = settle
        options: dict[str, Any] = {"pool_pre_ping": True}
        if url.startswith("postgresql"):
            options["connect_args"] = {"connect_timeout": 5, "options": _POSTGRES}
        try:
            self._engine = sa.create_engine(url, **options)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise ConfigError(f"changes: {error}; use postgresql+psycopg:// or sqlite://") from None
        self.engine: sa.Engine = self._engine
        inserts: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
        self._insert: Any = inserts.get(self._engine.dialect.name)
        if self._insert is None:
            raise ConfigError(f"changes in {self._engine.dialect.name}: use postgresql+psycopg:// or sqlite://")
        if self._engine.dialect.name == "sqlite":
            _lock_when_beginning(self._engine)
        try:
            with self._transaction() as connection:
                if self._engine.dialect.name == "postgresql":  # Where two make a table at once, one fails.
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
                metadata.create_all(connection)
                connection.execute(self._insert(_FLOOR).values(one=1, version=0).on_conflict_do_nothing())
        except JournalError:
            self.close()
            raise

    def accept(self, changes: Sequence[ItemChange], *, onto: Mapping[str, int] | None = None) -> list[bool]:
        """Keep the changes that are newer than what is known of their items, all in one transaction.

        Args:
            changes: in any order.
            onto: by item_id the version that a change was made from, `NEVER` for none; where it is another one by now,
                the change is not kept.

        Returns:
            Of each, whether it is now the item's newest state, which it is also where it was sent before. The same
            version with the embeddings of another encoder replaces them.

        Raises:
            JournalError: the database is away or refuses; nothing was kept.
        """
        newest: dict[str, ItemChange] = {}
        for change in changes:
            known = newest.get(change.item_id)
            if known is None or change.version > known.version:
                newest[change.item_id] = change
        now = time.time()
        accepted: dict[str, int] = {}
        with self._transaction() as connection:
            # Locked against `compact`, which may be forgetting the very tombstone that this change is older than.
            floor = connection.execute(sa.select(_FLOOR.c.version).with_for_update(read=True)).scalar_one()
            for names in _parts(sorted(newest)):
                empty = [{"item_id": name, **_EMPTY, "changed_at": now} for name in names]
                connection.execute(self._insert(_ITEMS).values(empty).on_conflict_do_nothing())
                chosen = sa.select(*_KNOWN).where(_ITEMS.c.item_id.in_(names)).order_by(_ITEMS.c.item_id)
                for row in connection.execute(chosen.with_for_update()).all():
                    change = newest[row.item_id]
                    if onto is not None and onto.get(row.item_id, row.version) != row.version:
                        continue
                    if row.version == NEVER and change.version <= floor:
                        continue  # It may be deleted: a tombstone as new as this was forgotten.
                    accepted[row.item_id] = row.version
                    embedded_anew = change.version == row.version and change.encoder_id != row.encoder_id
                    if change.version <= row.version and not embedded_anew:
                        continue
                    accepted[row.item_id] = change.version
                    until = row.unsettled_until
                    if row.applied_version < row.version:  # Somebody's attempt failed, or was cut short.
                        until = max(until or 0.0, now + self.settle)
                    values = {**_columns(change), "changed_at": now, "unsettled_until": until}
                    if embedded_anew:
                        values["applied_version"] = NEVER
                    connection.execute(sa.update(_ITEMS).where(_ITEMS.c.item_id == row.item_id).values(values))
                connection.execute(sa.delete(_ITEMS).where(_ITEMS.c.item_id.in_(names), _ITEMS.c.version == NEVER))
        return [change.version == accepted.get(change.item_id) for change in changes]

    @contextmanager
    def locked(
        self, item_ids: Sequence[str] | None = None, *, encoder_id: str, most: int = 500
    ) -> Iterator[list[ItemChange]]:
        """Lock items that Milvus must be given; they count as given when the block ends without an error.

        Nobody else writes these items meanwhile. Where the block raises, they stay pending.

        Args:
            item_ids: which of them; None for any that are pending or unsettled and that nobody else has locked.
            encoder_id: the collection's. What another encoder embedded stays pending, until it is sent again.
            most: how many.
        """
        now = time.time()
        fitting = sa.or_(_ITEMS.c.encoder_id == encoder_id, _ITEMS.c.deleted)
        due = sa.or_(_ITEMS.c.applied_version < _ITEMS.c.version, _ITEMS.c.unsettled_until <= now)
        query = sa.select(_ITEMS).where(due, fitting).order_by(_ITEMS.c.item_id).limit(most)
        if item_ids is not None:
            query = query.where(_ITEMS.c.item_id.in_(sorted(item_ids)))
        with self._transaction() as connection:
            rows = connection.execute(query.with_for_update(skip_locked=item_ids is None)).mappings().all()
            try:
                yield [_change(row) for row in rows]
            except BaseException:
                self._mark(connection, rows, {"unsettled_until": now + self.settle})
                connection.commit()
                raise
            for row in rows:
                pending = row["applied_version"] < row["version"]
                until = row["unsettled_until"]
                if item_ids is None and pending:  # Who accepted it may have tried, and may not be done.
                    until = now + self.settle
                elif until is not None and until <= now:
                    until = None
                self._mark(connection, [row], {"applied_version": row["version"], "unsettled_until": until})

    def changes(self, after: int, *, most: int = 500) -> Iterator[list[ItemChange]]:
        """All items that were changed after a version, in pages, in the order of their versions."""
        while True:
            query = sa.select(_ITEMS).where(_ITEMS.c.version > after).order_by(_ITEMS.c.version).limit(most)
            with self._transaction() as connection:
                rows = connection.execute(query).mappings().all()
            if not rows:
                return
            yield [_change(row) for row in rows]
            after = rows[-1]["version"]

    def retarget(self, after: int) -> None:
        """Make all changes after a version pending again: for a new collection that was exported at that version."""
        with self._transaction() as connection:
            connection.execute(sa.update(_ITEMS).where(_ITEMS.c.version > after).values(applied_version=NEVER))

    def newest(self, item_ids: Sequence[str]) -> dict[str, ItemChange]:
        """The newest change of each of some items that were ever changed."""
        found: dict[str, ItemChange] = {}
        with self._transaction() as connection:
            for names in _parts(sorted(set(item_ids))):
                rows = connection.execute(sa.select(_ITEMS).where(_ITEMS.c.item_id.in_(names))).mappings().all()
                found.update((row["item_id"], _change(row)) for row in rows)
        return found

    def has_arrived(self, item_id: str, version: int) -> bool:
        """Whether Milvus was given an item in this version or a newer one."""
        query = sa.select(_ITEMS.c.applied_version).where(_ITEMS.c.item_id == item_id)
        with self._transaction() as connection:
            applied = connection.execute(query).scalar()
        return applied is not None and applied >= version

    def waits_for(self, version: int) -> bool:
        """Whether a change up to a version has not arrived at Milvus yet."""
        query = sa.select(sa.literal(1)).where(_ITEMS.c.applied_version < _ITEMS.c.version, _ITEMS.c.version <= version)
        with self._transaction() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def pending(self) -> int:
        """How many items Milvus must still be given."""
        count = sa.select(sa.func.count()).where(_ITEMS.c.applied_version < _ITEMS.c.version)
        with self._transaction() as connection:
            return int(connection.execute(count).scalar_one())

    def compact(self, older_than: float) -> int:
        """Forget tombstones that are older than some seconds; returns how many.

        Afterwards a change of an unknown item is refused where it is as old as a tombstone that was forgotten. So keep
        them for longer than a change may be on its way.
        """
        gone = sa.and_(
            _ITEMS.c.deleted,
            _ITEMS.c.applied_version == _ITEMS.c.version,
            _ITEMS.c.unsettled_until.is_(None),
            _ITEMS.c.changed_at < time.time() - older_than,
        )
        with self._transaction() as connection:
            floor = connection.execute(sa.select(_FLOOR.c.version).with_for_update()).scalar_one()
            rows = connection.execute(sa.delete(_ITEMS).where(gone).returning(_ITEMS.c.version)).scalars().all()
            connection.execute(sa.update(_FLOOR).values(version=max([floor, *rows])))
        return len(rows)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _mark(self, connection: sa.Connection, rows: Sequence[sa.RowMapping], values: Mapping[str, Any]) -> None:
        for names in _parts([row["item_id"] for row in rows]):
            connection.execute(sa.update(_ITEMS).where(_ITEMS.c.item_id.in_(names)).values(**values))

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            place = self._engine.url.render_as_string(hide_password=True)
            raise JournalError(f"changes in {place}: {str(error).splitlines()[0]}") from None


_EMPTY: dict[str, Any] = {
    "version": NEVER, "deleted": False, "attributes": "{}", "images": "[]", "vectors": b"", "encoder_id": "",
    "applied_version": NEVER,
}  # fmt: skip
_KNOWN = (
    _ITEMS.c.item_id, _ITEMS.c.version, _ITEMS.c.encoder_id, _ITEMS.c.applied_version, _ITEMS.c.unsettled_until,
)  # fmt: skip


def _columns(change: ItemChange) -> dict[str, Any]:
    vectors = [np.asarray(vector, "<f4").tobytes() for vector in change.vectors.values()]
    return {
        "version": change.version,
        "deleted": change.deleted,
        "attributes": json.dumps(dict(change.attributes), allow_nan=False),
        "images": json.dumps([*change.vectors]),
        "vectors": b"".join(vectors),
        "encoder_id": change.encoder_id,
    }


def _change(row: sa.RowMapping) -> ItemChange:
    names = json.loads(row["images"])
    vectors = np.frombuffer(row["vectors"], "<f4").reshape(len(names), -1 if names else 0)
    return ItemChange(
        item_id=row["item_id"],
        version=row["version"],
        deleted=row["deleted"],
        attributes=json.loads(row["attributes"]),
        vectors=dict(zip(names, vectors, strict=True)),
        encoder_id=row["encoder_id"],
    )


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _PLACES):
        yield names[start : start + _PLACES]


def _lock_when_beginning(engine: sa.Engine) -> None:
    """SQLite has one writer: take its lock at the start of each transaction, and wait for it."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 60000")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
