"""From a URL to connections."""

import sqlite3
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from src.contracts.errors import ConfigError

__all__ = ["connect", "store_url"]

_STATEMENT_MS = 2000
"""A statement that a live server does not finish by then is given up there, too; its caller has gone long before."""
_POSTGRES = {
    "connect_timeout": 2,
    # A host that is gone sends nothing, not even an end.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "application_name": "lookalike",
    "options": f"-c statement_timeout={_STATEMENT_MS}",
}

registry.register("postgresql.lookalike", "serve.store.wire_dialect", "WireDialect")


def store_url(text: str) -> URL:
    """Read `sqlite:///FILE`, `sqlite://` (memory) or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.

    Raises:
        ConfigError: none of these; the text, which may hold a password, is not repeated.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    kind = url.drivername.partition("+")[0] if url else ""
    if url is None or kind not in ("sqlite", "postgresql", "postgres", "cockroachdb"):
        raise ConfigError(
            "`store_url`: must be sqlite:///FILE, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE for PostgreSQL and "
            "CockroachDB"
        )
    return url.set(drivername="sqlite" if kind == "sqlite" else "postgresql+lookalike")


def connect(url: URL, *, threads: int) -> Engine:
    """An engine that has not connected yet.

    Args:
        url: what `store_url` gave.
        threads: connections at most.
    """
    if url.drivername != "sqlite":
        return create_engine(
            url, connect_args=_POSTGRES, pool_size=threads, max_overflow=1, pool_timeout=1, use_native_hstore=False
        )
    if not url.database or url.database == ":memory:":
        # Every connection to memory is a database of its own: there is one, and one thread at a time has it.
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url, pool_size=threads, max_overflow=1, connect_args={"timeout": 10})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry | Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):  # Readers do not wait for a writer.
        connection.execute(f"PRAGMA {pragma}").close()
