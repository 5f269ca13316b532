"""From the store's URL to a pool of connections."""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import ArgumentError

from src.contracts.errors import ConfigError

__all__ = ["WireDialect", "connect"]

_STATEMENT_MS = 2000
"""A server gives up a statement after this time; the search has gone on without it long before."""

_POSTGRES = {
    "connect_timeout": 2,
    # Without keepalives, a host that has disappeared is noticed after minutes.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "application_name": "lookalike",
    "options": f"-c statement_timeout={_STATEMENT_MS}",
}


class WireDialect(PGDialect_psycopg):
    """SQLAlchemy's PostgreSQL dialect, which by itself refuses the version string of CockroachDB."""

    supports_statement_cache = True

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        try:
            return super()._get_server_version_info(connection)  # type: ignore[no-untyped-call]
        except AssertionError:  # "CockroachDB CCL v24.1 ...": it speaks the protocol of PostgreSQL 13.
            return (13,)


registry.register("postgresql.lookalike", __name__, "WireDialect")


def connect(text: str, *, threads: int) -> Engine:
    """Make a pool of at most `threads` connections that has not connected yet.

    Raises `ConfigError` for a text that is no URL of a database, without repeating it: it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = URL.create("none")
    kind = url.drivername.partition("+")[0]
    # In SQLite's memory, each connection would have a database of its own.
    in_memory = kind == "sqlite" and url.database in (None, "", ":memory:")
    if in_memory or kind not in ("sqlite", "postgresql", "postgres", "cockroachdb"):
        raise ConfigError(
            "LOOKALIKE_STORE_URL: must be sqlite:///FILE, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE for "
            "PostgreSQL and CockroachDB"
        )
    # No BEGIN and no ROLLBACK around a single statement: two round trips less.
    options: dict[str, Any] = {"pool_size": threads, "max_overflow": 0, "isolation_level": "AUTOCOMMIT"}
    if kind == "sqlite":
        return create_engine(url.set(drivername="sqlite"), connect_args={"timeout": 10}, **options)
    options |= {"connect_args": _POSTGRES, "pool_timeout": 1, "use_native_hstore": False}
    return create_engine(url.set(drivername="postgresql+lookalike"), **options)
