"""The store's two tables, in SQL that SQLite, PostgreSQL and CockroachDB share."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.schema import CreateTable

__all__ = ["DESCRIPTION", "create_tables", "items", "load_state"]

_metadata = MetaData()

items = Table(
    "items",
    _metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("item_id", Text, nullable=False, unique=True),
    Column("parent_id", Text),
    Column("category", Text),
    Column("brand", Text),
    Column("color", Text),
    Column("price", Float(53)),
    Column("in_stock", Boolean),
    Column("updated_at", DateTime(timezone=True)),
    Column("text", Text, nullable=False, server_default=""),
)
"""One row is one item. `updated_at` (UTC) is when the shop last wrote its price or stock; null where only a bundle did:
such a row's price and stock are those of the bundle that was loaded last. `text` is what a search by words reads."""

DESCRIPTION = ("parent_id", "category", "brand", "color", "text")
"""Columns that a bundle knows best."""

load_state = Table(
    "load_state",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("bundle_id", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
)
"""One row: the bundle that was loaded last, and how many of its items are in by now, in the order of their ids."""

# FTS5 keeps words, not texts, and the triggers keep it in step with whoever writes (sqlite.org/fts5.html, 4.4.3).
_WORDS = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS items_text USING fts5("
    "text, content='items', content_rowid='number', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER IF NOT EXISTS items_text_insert AFTER INSERT ON items BEGIN"
    " INSERT INTO items_text(rowid, text) VALUES (new.number, new.text); END",
    "CREATE TRIGGER IF NOT EXISTS items_text_delete AFTER DELETE ON items BEGIN"
    " INSERT INTO items_text(items_text, rowid, text) VALUES ('delete', old.number, old.text); END",
    "CREATE TRIGGER IF NOT EXISTS items_text_update AFTER UPDATE OF text ON items WHEN old.text <> new.text BEGIN"
    " INSERT INTO items_text(items_text, rowid, text) VALUES ('delete', old.number, old.text);"
    " INSERT INTO items_text(rowid, text) VALUES (new.number, new.text); END",
)


def create_tables(connection: Connection) -> None:
    """Create what is not there yet."""
    for table in (items, load_state):
        connection.execute(CreateTable(table, if_not_exists=True))
    if connection.dialect.name == "sqlite":
        for statement in _WORDS:
            connection.execute(text(statement))
