"""A bundle's items into the store."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, delete, insert, select, update

from serve.store.statements import from_bundle
from serve.store.tables import create_tables, load_state
from src.contracts.bundle import ITEMS_TABLE, Bundle
from src.contracts.tables import ITEMS, validate_items

__all__ = ["load_bundle", "words_of"]

T = TypeVar("T")
_BATCH = 1000
_COLUMNS = ("image_id", "item_id", "image", "parent_id", "category", "brand", "color", "price", "in_stock")
_WORDS = ("title", "name", "description")
"""Columns that a catalogue may have beside those of the items table, and that a search by words reads first."""
_ATTRIBUTES = ("brand", "color", "category")


class Run(Protocol):
    """Does one step of a load, somewhere."""

    def __call__(self, step: Callable[[], T], /) -> T:
        """What the step gives."""
        ...


def load_bundle(
    engine: Engine,
    bundle: Bundle,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    run: Run = lambda step: step(),
) -> int:
    """Write each item of a bundle. Blocks.

    Going on where a load of the same bundle was cut off; nothing is written where it was finished and no other was
    loaded since. What the shop itself wrote of price and stock is kept.

    Args:
        engine: the store.
        bundle: a verified bundle.
        progress: told how many items of how many are done.
        run: does each transaction, of 1,000 items at most, so that others get their turn between two of them.

    Returns:
        How many items were written.

    Raises:
        SQLAlchemyError: the store failed; loading again goes on from there.
    """
    rows = _items_of(bundle)
    total = rows.num_rows
    statement = from_bundle(engine.dialect.name)

    def begin() -> int:
        with engine.begin() as connection:
            create_tables(connection)
            return _resume(connection, bundle.bundle_id)

    def write(batch: list[dict[str, Any]], done: int) -> None:
        with engine.begin() as connection:
            connection.execute(statement, batch)
            connection.execute(update(load_state).values(bundle_id=bundle.bundle_id, done=done))

    done = first = run(begin)
    progress(done, total)
    for batch in _batches(rows, done):
        done += len(batch)
        run(partial(write, batch, done))
        progress(done, total)
    return done - first


def _resume(connection: Connection, bundle_id: str) -> int:
    state = connection.execute(select(load_state.c.bundle_id, load_state.c.done)).one_or_none()
    if state is not None and state.bundle_id == bundle_id:
        return int(state.done)
    connection.execute(delete(load_state))
    connection.execute(insert(load_state).values(number=1, bundle_id=bundle_id, done=0))
    return 0


def _items_of(bundle: Bundle) -> pa.Table:
    """One row an item, ordered by id: the first image's."""
    path = bundle.path(ITEMS_TABLE)
    schema = pq.read_schema(path)
    words = [name for name in _WORDS if name in schema.names and pa.types.is_string(schema.field(name).type)]
    known = [name for name in _COLUMNS if name in schema.names and name in ITEMS.names]
    table = validate_items(pq.read_table(path, columns=[*known, *words]))
    _, first = np.unique(table["item_id"].to_numpy(zero_copy_only=False).astype(object), return_index=True)
    return table.take(pa.array(first, pa.int64()))


def _batches(rows: pa.Table, done: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(done, rows.num_rows, _BATCH):
        yield [_stored(row) for row in rows.slice(start, _BATCH).to_pylist()]


def _stored(row: dict[str, Any]) -> dict[str, Any]:
    price = row["price"]
    return {
        **{name: row[name] for name in ("item_id", "parent_id", "category", "brand", "color", "in_stock")},
        "price": price if price is not None and math.isfinite(price) else None,
        "text": words_of(row),
    }


def words_of(item: Mapping[str, Any]) -> str:
    """What a search by words reads of an item."""
    said = [item[name] for name in (*_WORDS, *_ATTRIBUTES) if item.get(name)]
    # PostgreSQL takes no NUL in a text.
    return " ".join(said).replace("\0", " ")
