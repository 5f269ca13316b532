"""Current prices and stock from the shop's database, within a time budget and behind a circuit breaker."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Boolean, Column, Float, MetaData, Select, Table, Text, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError

from serve.breaker import Breaker, BreakerOpenError
from serve.metrics import Metrics
from serve.store.connection import connect
from serve.store.threads import DaemonThreads

__all__ = ["CurrentValues", "Store", "StoreUnavailableError"]

T = TypeVar("T")

_THREADS = 4
_WRITE_SECONDS = 5.0

items = Table(
    "items",
    MetaData(),
    Column("item_id", Text, primary_key=True),
    Column("price", Float(53)),
    Column("in_stock", Boolean),
)
"""The shop's table: one row an item; further columns are ignored. docs/serving.md has its SQL."""

_CURRENT: Select[Any] = select(items.c.item_id, items.c.price, items.c.in_stock).where(
    items.c.item_id.in_(bindparam("item_ids", expanding=True))
)


class StoreUnavailableError(Exception):
    """The database failed, was late, or is not asked at the moment."""


class CurrentValues(NamedTuple):
    """What the shop says of an item now."""

    price: float | None
    in_stock: bool | None


class Store:
    """The shop's database. The event loop's thread calls the coroutines."""

    def __init__(self, url: str, *, budget: float, breaker: Breaker, metrics: Metrics) -> None:
        """Connect to nothing yet; a search waits for `budget` seconds. Raises as `connect`."""
        self._engine = connect(url, threads=_THREADS)
        self._threads = DaemonThreads(threads=_THREADS, name="store")
        self._budget = budget
        self._breaker = breaker
        self._metrics = metrics

    async def current(self, item_ids: Sequence[str]) -> Mapping[str, CurrentValues]:
        """Price and stock of the items that the table has, in one query; raises `StoreUnavailableError`."""
        if not item_ids:
            return {}
        started = time.perf_counter()
        outcome = "error"
        try:
            # A value that the database cannot hold is the caller's fault: the database works.
            with self._breaker.call(spares=(DataError,)):
                rows = await self._run(lambda: self._rows(item_ids), self._budget)
            outcome = "answered"
            return {name: CurrentValues(_finite(price), in_stock) for name, price, in_stock in rows}
        except BreakerOpenError:
            outcome = "skipped"
            raise StoreUnavailableError from None
        except TimeoutError:
            outcome = "late"
            raise StoreUnavailableError from None
        except Exception as error:
            raise StoreUnavailableError(str(error)) from error
        finally:
            self._metrics.store_queries.labels(outcome).inc()
            if outcome != "skipped":
                self._metrics.store_seconds.observe(time.perf_counter() - started)

    async def write(self, item_id: str, values: Mapping[str, Any]) -> None:
        """Write `price` and `in_stock`, as far as they are given; raises `StoreUnavailableError`."""
        given = {name: values[name] for name in ("price", "in_stock") if name in values}
        if not given:
            return
        try:
            await self._run(lambda: self._write(item_id, given), _WRITE_SECONDS)
        except Exception as error:
            raise StoreUnavailableError(str(error)) from error

    def close(self) -> None:
        """Close the connections; blocks for a second at most. One to a hanging database ends with the process."""
        self._threads.close()
        self._engine.dispose()

    async def _run(self, work: Callable[[], T], seconds: float) -> T:
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(self._threads.submit(work))

    def _rows(self, item_ids: Sequence[str]) -> list[Any]:
        try:
            return self._executed(item_ids)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._executed(item_ids)  # The database was restarted; the pool has dropped its old connections.

    def _executed(self, item_ids: Sequence[str]) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(_CURRENT, {"item_ids": list(item_ids)}))

    def _write(self, item_id: str, values: Mapping[str, Any]) -> None:
        insert: Any = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        row = insert(items).values(item_id=item_id, **values)
        with self._engine.connect() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["item_id"], set_=values))


def _finite(price: float | None) -> float | None:
    return price if price is not None and math.isfinite(price) else None
