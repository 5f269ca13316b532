"""The one sequence from which changes of items get their versions."""

import sqlalchemy as sa

from src.contracts.errors import JournalError
from src.index.change_store import ChangeStore, metadata

__all__ = ["ItemVersions"]

_SEQUENCE = sa.Sequence("item_versions", metadata=metadata, data_type=sa.BigInteger)
_COUNTER = sa.Table(
    "item_version_counter",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)
"""For SQLite, which has no sequences."""


class ItemVersions:
    """PostgreSQL's sequence `item_versions`, or a row of SQLite. Safe to use from many threads and processes."""

    def __init__(self, store: ChangeStore) -> None:
        """Use a store's database, in which the store has made the sequence."""
        self._engine = store.engine

    def next(self) -> int:
        """A version that is greater than all that were given before, 1 and more; it is given once.

        Raises:
            JournalError: the database is away or refuses.
        """
        try:
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "postgresql":
                    return int(connection.execute(_SEQUENCE.next_value().select()).scalar_one())
                connection.execute(sa.text("INSERT INTO item_version_counter VALUES (1, 0) ON CONFLICT DO NOTHING"))
                increment = sa.update(_COUNTER).values(version=_COUNTER.c.version + 1).returning(_COUNTER.c.version)
                return int(connection.execute(increment).scalar_one())
        except sa.exc.SQLAlchemyError as error:
            raise JournalError(f"versions of changes: {str(error).splitlines()[0]}") from None
