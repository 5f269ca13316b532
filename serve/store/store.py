"""The store as a search uses it: within a time budget, or not at all."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import URL, Connection, Engine, Executable
from sqlalchemy.exc import DataError, DBAPIError

from serve.breaker import Breaker, BreakerOpenError
from serve.observe.metrics import Metrics
from serve.observe.store_metrics import StoreMetrics
from serve.settings import ServeSettings
from serve.store.connection import connect, store_url
from serve.store.kept_values import KeptValues
from serve.store.load import load_bundle
from serve.store.statements import CURRENT, by_words, from_shop, listed
from serve.store.tables import DESCRIPTION, create_tables
from serve.store.threads import DaemonThreads
from src.contracts.bundle import Bundle
from src.index.filters import Condition

__all__ = ["CurrentValues", "Store", "StoreUnavailableError"]

T = TypeVar("T")
_THREADS = 4
_WORDS_THREADS = 2
_WRITTEN_SECONDS = 5.0
_LISTED_SECONDS = 0.5
"""A search by words is a fallback: it may take longer than what every search needs."""


class StoreUnavailableError(Exception):
    """No answer: the store is dead, late, or has been lately."""


class _Line(NamedTuple):
    """How one kind of question is asked: what is slow or fails on one line leaves the other alone."""

    breaker: Breaker
    threads: DaemonThreads
    budget: float


class CurrentValues(NamedTuple):
    """What the store knows of an item now."""

    price: float | None
    in_stock: bool | None


class Store:
    """Items' prices, stock and words. Only the event loop's thread calls the coroutines.

    Attributes:
        mirrors: whether prices and stock are the served bundle's, because nobody else can write them.
    """

    def __init__(
        self,
        url: URL,
        *,
        budget: float,
        breaker: Breaker,
        words_breaker: Breaker,
        metrics: StoreMetrics,
        mirrors: bool = False,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: what `store_url` gave.
            budget: seconds that a search waits for prices and stock.
            breaker: stops questions for these while the store does not answer.
            words_breaker: stops searches by words and lists, which may be slow where the others are not.
            metrics: where they are counted.
            mirrors: see above.
        """
        self.mirrors = mirrors
        sqlite = url.drivername == "sqlite"
        file = Path(url.database) if sqlite and url.database and url.database != ":memory:" else None
        in_memory = sqlite and file is None
        # In memory there is one connection, hence one thread.
        threads = 1 if in_memory else _THREADS
        self._engine: Engine = connect(url, threads=threads if in_memory else threads + _WORDS_THREADS)
        # No BEGIN, no ROLLBACK: two round trips less. What is written takes its own transaction.
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._threads = DaemonThreads(threads=threads, name="store")
        self._words_threads = self._threads if in_memory else DaemonThreads(threads=_WORDS_THREADS, name="store-words")
        self._current = _Line(breaker, self._threads, budget)
        self._words = _Line(words_breaker, self._words_threads, _LISTED_SECONDS)
        self._kept: KeptValues[CurrentValues] = KeptValues(file)
        self._metrics = metrics

    @classmethod
    def of(cls, settings: ServeSettings, metrics: Metrics) -> "Store":
        """The store that an operator has asked for; else one in the state folder, or in memory where there is none.

        Raises:
            ConfigError: `store_url` is none.
        """
        if settings.store_url is not None:
            url = store_url(settings.store_url.get_secret_value())
        else:
            url = URL.create("sqlite", database=str(settings.state / "store.sqlite") if settings.state else None)
        return cls(
            url,
            budget=settings.store_budget_ms / 1000,
            breaker=Breaker(on_change=metrics.breakers.watch("store")),
            words_breaker=Breaker(on_change=metrics.breakers.watch("words")),
            metrics=metrics.store,
            mirrors=settings.store_url is None and settings.state is None,
        )

    @property
    def is_ours(self) -> bool:
        """Whether the service itself fills it: nobody else may be there to do it."""
        return self._engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Close the connections; those that a stopped database holds go with the process. Blocks, a second at most."""
        self._threads.close()
        self._words_threads.close()
        self._kept.close()
        self._engine.dispose()

    async def current(self, item_ids: Sequence[str]) -> Mapping[str, CurrentValues]:
        """Price and stock now, in one question at most; an item that the store does not know is not in the answer.

        Raises:
            StoreUnavailableError: it does not answer in time.
        """
        if not item_ids:
            return {}
        known = self._kept.known(item_ids)
        if not known.unknown:
            self._metrics.asked.labels("current", "kept").inc()
            return known.values
        rows = await self._ask("current", CURRENT, self._current, {"item_ids": known.unknown})
        told = {name: CurrentValues(_finite(price), in_stock) for name, price, in_stock in rows}
        self._kept.keep(known, told)
        return known.values | told

    async def by_words(self, words: str, conditions: Sequence[Condition], limit: int) -> list[str]:
        """Ids of items whose text has the words, best first; conditions hold for current prices and stock.

        Raises:
            StoreUnavailableError: it does not answer in time.
        """
        statement = by_words(self._engine.dialect.name, words, conditions, limit)
        if statement is None:
            return []
        return [name for (name,) in await self._ask("words", statement, self._words)]

    async def listed(self, conditions: Sequence[Condition], limit: int) -> list[str]:
        """Ids of items that meet the conditions now, those in stock first.

        Raises:
            StoreUnavailableError: it does not answer in time.
        """
        statement = listed(conditions, limit)
        return [name for (name,) in await self._ask("list", statement, self._words)]

    async def tell(self, item_id: str, values: Mapping[str, Any]) -> None:
        """Write what the shop says of an item as of now: any of `price`, `in_stock` and what describes it.

        Raises:
            StoreUnavailableError: it cannot be written in time.
        """
        row = {"item_id": item_id, **values}
        now = datetime.now(UTC)
        try:
            async with asyncio.timeout(_WRITTEN_SECONDS):
                await asyncio.wrap_future(self._threads.submit(lambda: self._written([row], now)))
        except Exception as error:
            raise StoreUnavailableError(str(error)) from error

    def load(self, bundle: Bundle) -> int:
        """`load_bundle` into this store. Blocks."""

        def progress(done: int, total: int) -> None:
            self._metrics.loaded.set(done)

        return load_bundle(self._engine, bundle, progress=progress, run=self._run)

    def write(self, values: Iterable[Mapping[str, Any]], *, updated_at: datetime) -> None:
        """Write prices and stock as the shop knows them. Blocks.

        Args:
            values: each with `item_id` and any of `price` and `in_stock`.
            updated_at: since when they hold, with a timezone; what the store knows from a later time stays.

        Raises:
            SQLAlchemyError: the store failed, nothing was written.
        """
        self._run(lambda: self._written(values, updated_at.astimezone(UTC)))

    def _written(self, values: Iterable[Mapping[str, Any]], since: datetime) -> None:
        dialect = self._engine.dialect.name
        with self._engine.begin() as connection:
            create_tables(connection)
            for row in values:
                told = [name for name in ("price", "in_stock", *DESCRIPTION) if name in row]
                connection.execute(from_shop(dialect, told), {"text": "", **row, "updated_at": since})

    def _run(self, work: Callable[[], T]) -> T:
        return self._threads.submit(work).result()

    async def _ask(
        self, kind: str, statement: Executable, line: _Line, parameters: Mapping[str, Any] | None = None
    ) -> list[Any]:
        started = time.perf_counter()
        outcome = "error"
        try:
            # What a caller asked for cannot be a value of the database: it is well.
            with line.breaker.call(spares=(DataError,)):
                async with asyncio.timeout(line.budget):
                    rows = await asyncio.wrap_future(line.threads.submit(lambda: self._rows(statement, parameters)))
            outcome = "answered"
            return rows
        except BreakerOpenError:
            outcome = "skipped"
            raise StoreUnavailableError from None
        except TimeoutError:
            outcome = "late"
            raise StoreUnavailableError from None
        except Exception as error:
            raise StoreUnavailableError(str(error)) from error
        finally:
            self._metrics.asked.labels(kind, outcome).inc()
            if outcome != "skipped":
                self._metrics.seconds.labels(kind).observe(time.perf_counter() - started)

    def _rows(self, statement: Executable, parameters: Mapping[str, Any] | None) -> list[Any]:
        def ask(connection: Connection) -> list[Any]:
            return list(connection.execute(statement, parameters))

        try:
            return self._connected(ask)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._connected(ask)  # It was restarted: the pool has dropped its connections of before.

    def _connected(self, ask: Callable[[Connection], T]) -> T:
        with self._reading.connect() as connection:
            return ask(connection)


def _finite(price: float | None) -> float | None:
    return price if price is not None and math.isfinite(price) else None
