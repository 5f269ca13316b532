"""What the store is asked and told."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Insert, Select, and_, bindparam, case, literal_column, or_, select, table, text
from sqlalchemy.dialects import postgresql, sqlite

from serve.store.tables import DESCRIPTION, items
from src.index.filters import AnyOf, Condition

__all__ = ["CURRENT", "by_words", "from_bundle", "from_shop", "listed"]

CURRENT: Select[Any] = select(items.c.item_id, items.c.price, items.c.in_stock).where(
    items.c.item_id.in_(bindparam("item_ids", expanding=True))
)
"""Price and stock of some items, by `item_ids`."""

_WORDS_READ = 16
_words_table = table("items_text")


def from_bundle(dialect: str) -> Insert:
    """Insert an item, or describe it anew; the price and stock that the shop itself wrote stay."""
    insert = _insert(dialect)
    values = {name: insert.excluded[name] for name in DESCRIPTION}
    for name in ("price", "in_stock"):
        values[name] = case((items.c.updated_at.is_(None), insert.excluded[name]), else_=items.c[name])
    return insert.on_conflict_do_update(index_elements=["item_id"], set_=values)


def from_shop(dialect: str, columns: Iterable[str]) -> Insert:
    """Insert an item or write these columns of it; what the store knows from a later time stays.

    Args:
        dialect: the database's.
        columns: of `price`, `in_stock` and `DESCRIPTION`, those that are told.
    """
    insert = _insert(dialect)
    values = {name: insert.excluded[name] for name in (*columns, "updated_at")}
    older = or_(items.c.updated_at.is_(None), items.c.updated_at <= insert.excluded.updated_at)
    return insert.on_conflict_do_update(index_elements=["item_id"], set_=values, where=older)


def by_words(dialect: str, words: str, conditions: Sequence[Condition], limit: int) -> Select[Any] | None:
    """The ids of items whose text has all of the words, the last perhaps in part; None where there is no word.

    SQLite ranks them (BM25); elsewhere the text is searched as it stands, and what is in stock comes first.
    """
    found = re.findall(r"\w+", words)[:_WORDS_READ]
    if not found:
        return None
    if dialect == "sqlite":
        # Quoted: FTS5 has operators, and a shop's customers do not know that.
        match = " ".join(f'"{word}"' for word in found) + "*"
        joined = _words_table.join(items, literal_column("items_text.rowid") == items.c.number)
        asked = select(items.c.item_id).select_from(joined).where(text("items_text MATCH :words"))
        asked = asked.order_by(text("bm25(items_text)"), items.c.item_id).params(words=match)
    else:
        asked = select(items.c.item_id).where(and_(*(items.c.text.icontains(word, autoescape=True) for word in found)))
        asked = _in_stock_first(asked)
    return _narrowed(asked, conditions, limit)


def listed(conditions: Sequence[Condition], limit: int) -> Select[Any]:
    """The ids of items that meet the conditions, those in stock first."""
    return _narrowed(_in_stock_first(select(items.c.item_id)), conditions, limit)


def _in_stock_first(asked: Select[Any]) -> Select[Any]:
    # Where nulls are sorted differs from database to database.
    return asked.order_by(case((items.c.in_stock.is_(True), 0), else_=1), items.c.item_id)


def _narrowed(asked: Select[Any], conditions: Sequence[Condition], limit: int) -> Select[Any]:
    return asked.where(*(_clause(condition) for condition in conditions)).limit(limit)


def _clause(condition: Condition) -> ColumnElement[bool]:
    column = items.c[condition.column]
    if isinstance(condition, AnyOf):
        return column.in_(sorted(condition.values))
    bounds = []
    if condition.low is not None:
        bounds.append(column >= condition.low)
    if condition.high is not None:
        bounds.append(column <= condition.high)
    return and_(*bounds)


def _insert(dialect: str) -> Any:
    kinds: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return kinds[dialect](items)
