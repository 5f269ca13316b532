"""Small pictures of changed items, in the database that replicas share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from src.contracts.errors import JournalError
from src.index.change_store import ChangeStore, metadata

__all__ = ["SharedPictures"]

_PICTURES = sa.Table(
    "item_pictures",
    metadata,
    sa.Column("image_id", sa.String(512), primary_key=True),
    sa.Column("jpeg", sa.LargeBinary, nullable=False),
)


class SharedPictures:
    """The table `item_pictures`. Safe to use from many threads and processes.

    An image's id follows from its content, so that a picture never changes. Those of items that are gone stay.
    """

    def __init__(self, store: ChangeStore) -> None:
        """Use a store's database, in which the store has made the table."""
        self._engine = store.engine

    def keep(self, pictures: Mapping[str, bytes]) -> None:
        """Keep JPEGs by image_id; raises `JournalError` where the database is away or refuses."""
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        rows = [{"image_id": image_id, "jpeg": jpeg} for image_id, jpeg in pictures.items()]
        with self._connection() as connection:
            connection.execute(insert(_PICTURES).values(rows).on_conflict_do_nothing())

    def jpeg(self, image_id: str) -> bytes | None:
        """An image's JPEG, or None; raises as `keep`."""
        with self._connection() as connection:
            found: bytes | None = connection.execute(
                sa.select(_PICTURES.c.jpeg).where(_PICTURES.c.image_id == image_id)
            ).scalar()
        return found

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise JournalError(f"pictures of changed items: {str(error).splitlines()[0]}") from None
